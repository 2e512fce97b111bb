"""The pages of docs/, besides what `mkdocs build --strict` checks: links, navigation, API."""

import re
from itertools import pairwise
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
    pictures = [
        path for path in (DOCS / 'images').iterdir() if path.is_file() and path.suffix != '.py'
    ]
    assert {path.name for path in pictures} <= named


def test_cosines_of_the_tutorials_are_no_staircases():
    for page in (ROOT / 'docs').rglob('*.md'):
        for settings in re.findall(r"dict\(type='CosineAnnealingLR'[^)]*\)", page.read_text()):
            by_iteration = 'convert_to_iter_based=True' in settings or 'by_epoch=False' in settings
            assert by_iteration, f'{page.name}: {settings}'


def test_the_site_loads_no_script_from_another_host_and_can_be_searched_as_a_file():
    settings = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())
    assert {'search', 'offline'} <= {one for one in settings['plugins'] if isinstance(one, str)}
    scripts = settings['extra']['polyfills']
    assert any('iframe-worker' in script for script in scripts), 'the plugin offline adds its own'
    for script in scripts:
        assert (DOCS / script).is_file(), script


def test_the_table_of_stages_is_that_of_rsir_t():
    from mmrsir.models import ARCHS

    arch = ARCHS['tiny']
    text = read('architecture.md')
    for stage, (depth, heads) in enumerate(zip(arch['depths'], arch['num_heads'], strict=True)):
        stride, channels = 4 * 2**stage, arch['embed_dims'] * 2**stage
        side = 224 // stride
        row = [stage, stride, f'{side} x {side}', side**2, channels, depth, heads, side**2 // 49]
        assert f'| {" | ".join(map(str, row))} | {channels} x {side} x {side} |' in text


def test_the_layers_of_the_architecture_are_those_that_are_checked():
    tomllib = pytest.importorskip('tomllib')  # of Python 3.11
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    first, second, _ = settings['tool']['importlinter']['contracts']
    tables = read('architecture.md').split('## The layers of the package')[1].split('## Where')[0]
    for contract, table in zip((second, first), tables.split('`models` has layers'), strict=True):
        rows = [row.split('|')[1] for row in table.splitlines() if row.startswith('| `')]
        written = [set(re.findall(r'`(\w+)`', row)) for row in rows]
        checked = [set(re.findall(r'(\w+)(?= |$)', layer)) for layer in contract['layers']]
        assert set().union(*written) == set().union(*checked)
        places = {name: number for number, names in enumerate(written) for name in names}
        numbers = [{places[name] for name in names} for names in checked]
        assert all(max(one) <= min(other) for one, other in pairwise(numbers))
