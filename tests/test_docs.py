"""The pages of docs/: all are in the navigation, and what they link to and document exists."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml

from .helpers.commands import ROOT

DOCS = ROOT / 'docs'
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob('*.md'))
LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)\)')
FENCED = re.compile(r'^```.*?^```$', flags=re.MULTILINE | re.DOTALL)


def read(page):
    """Return the text of a page without its code blocks."""
    return FENCED.sub('', (DOCS / page).read_text())


def slugs(text):
    """Return the anchors of a page's headings."""
    headings = re.findall(r'^#+ (.+)$', text, flags=re.MULTILINE)
    words = (re.sub(r'[^\w\s-]', '', heading).strip().lower() for heading in headings)
    return {re.sub(r'[-\s]+', '-', one) for one in words}


def navigation(entries):
    """Yield the pages of a navigation."""
    for entry in entries:
        for value in entry.values():
            yield from navigation(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation_once():
    settings = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())
    assert sorted(navigation(settings['nav'])) == PAGES


@pytest.mark.parametrize('page', PAGES)
def test_links_and_images_lead_somewhere(page):
    text = read(page)
    for link in LINK.findall(text):
        if '://' in link:
            continue
        path, _, anchor = link.partition('#')
        target = (DOCS / page).parent / path if path else DOCS / page
        assert target.resolve().is_relative_to(DOCS), f'{link} leaves docs/'
        assert target.is_file(), link
        assert not anchor or anchor in slugs(FENCED.sub('', target.read_text())), link


@pytest.mark.parametrize('page', [page for page in PAGES if page.startswith('api/')])
def test_what_the_api_pages_document_exists(page):
    names = re.findall(r'^::: (\S+)$', (DOCS / page).read_text(), flags=re.MULTILINE)
    assert names
    for name in names:
        resolve_name(name)


@pytest.mark.parametrize('page', PAGES)
def test_files_that_pages_name_exist(page):
    text = (DOCS / page).read_text()
    for path in re.findall(r'(?<![\w/])(?:configs|demo|tests|tools)/[\w/.-]+\.\w+', text):
        assert (ROOT / path).exists(), path


def test_pictures_are_all_used():
    named = {Path(link).name for page in PAGES for link in LINK.findall(read(page))}
    named |= {Path(link).name for link in LINK.findall((ROOT / 'README.md').read_text())}
    assert {path.name for path in (DOCS / 'images').iterdir()} <= named


def test_cosines_of_the_tutorials_are_no_staircases():
    for page in (ROOT / 'docs').rglob('*.md'):
        for settings in re.findall(r"dict\(type='CosineAnnealingLR'[^)]*\)", page.read_text()):
            by_iteration = 'convert_to_iter_based=True' in settings or 'by_epoch=False' in settings
            assert by_iteration, f'{page.name}: {settings}'


def test_the_site_loads_no_script_from_another_host():
    scripts = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['extra']['polyfills']
    assert any('iframe-worker' in script for script in scripts), 'the plugin offline adds its own'
    for script in scripts:
        assert (DOCS / script).is_file(), script
