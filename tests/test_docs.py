"""The pages of docs/, besides what `mkdocs build --strict` checks: links, navigation, API."""

import re
from pathlib import Path

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
