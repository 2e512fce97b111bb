"""Configs of other projects inherit from those of an installed mmrsir."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from mmengine.config import Config

from mmrsir import __version__, inheritance
from mmrsir.inheritance import find_base

from .helpers.commands import ROOT

NANO = [f'{task}/rsir_n_shapes.py' for task in ('mask_rcnn', 'upernet', 'cls')]
PACKED = ('configs', 'tools', 'model-index.yml')

# What a user does in a folder of their own, and what they see.
SCRIPT = """
import json, sys
from pathlib import Path

import mmrsir
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope

seen = dict(package=mmrsir.__path__[0])
for name in sys.argv[1:]:
    Path('heir.py').write_text(f"_base_ = 'mmrsir::{name}'")
    heir = Config.fromfile('heir.py')
    base = Config.fromfile(Path(mmrsir.__path__[0], '.mim/configs', name))
    init_default_scope(heir.default_scope)
    seen[name] = dict(
        inherits=heir.to_dict() == base.to_dict(),
        hub=get_config(f'mmrsir::{name}').to_dict() == base.to_dict(),
        backbone=type(MODELS.build(heir.model).backbone).__module__,
    )
print(json.dumps(seen))
"""


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of what is packed, in which a build may leave its files."""
    copy = tmp_path_factory.mktemp('checkout')
    for name in ('mmrsir', 'requirements', *PACKED):
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns('.mim', '__pycache__')
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, copy)
    for name in ('LICENSE', 'MANIFEST.in', 'README.md', 'pyproject.toml', 'setup.py'):
        shutil.copy2(ROOT / name, copy)
    return copy


def pip(*arguments):
    """Run pip without the network."""
    options = ('--quiet', '--no-deps', '--no-build-isolation', '--no-index')
    command = [sys.executable, '-m', 'pip', arguments[0], *options, *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def installed(checkout, tmp_path_factory):
    """A folder with the wheel installed."""
    folder = tmp_path_factory.mktemp('wheel')
    pip('wheel', '--wheel-dir', str(folder), str(checkout))
    with zipfile.ZipFile(next(folder.glob('*.whl'))) as wheel:
        wheel.extractall(folder / 'site-packages')
    return folder / 'site-packages'


@pytest.fixture(scope='module')
def seen(installed, tmp_path_factory):
    """What SCRIPT sees in an empty folder, with the wheel and without the checkout."""
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, *NANO],
        cwd=tmp_path_factory.mktemp('project'),
        env={**os.environ, 'PYTHONPATH': str(installed)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def files(folder):
    """Return the files of a folder by their paths in it."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def heir(folder, base):
    """Return a config that does nothing but inherit."""
    (folder / 'heir.py').write_text(f"_base_ = 'mmrsir::{base}'")
    return Config.fromfile(folder / 'heir.py')


@pytest.mark.parametrize('name', NANO)
def test_heir_equals_its_base(name, tmp_path):
    base = Config.fromfile(ROOT / 'configs' / name)
    assert heir(tmp_path, name).to_dict() == base.to_dict()


def test_a_misspelt_base_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="did you mean 'mmrsir::mask_rcnn/rsir_n_sha"):
        heir(tmp_path, 'mask_rcnn/rsir_x_shapes.py')


@pytest.mark.parametrize('place', ['configs', 'mmrsir/.mim/configs'])
def test_bases_are_those_of_the_code_that_is_imported(place, tmp_path, monkeypatch):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).symlink_to(ROOT / 'configs')
    monkeypatch.setattr(inheritance, 'HERE', tmp_path / 'mmrsir')  # a clone on PYTHONPATH, a wheel
    for name in NANO:
        expected = str(tmp_path / place / name), None
        assert find_base(f'mmrsir::{name}', 'heir.py') == expected
        assert find_base(f'mmrsir::{name.removesuffix(".py")}', 'heir.py') == expected


def test_code_without_its_configs_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(inheritance, 'HERE', tmp_path / 'mmrsir')
    with pytest.raises(inheritance.MissingBaseError, match='install mmrsir by "pip install -e ."'):
        find_base('mmrsir::mask_rcnn/rsir_t_1x_coco.py', 'heir.py')


def test_other_packages_keep_their_scope():
    assert find_base('mmdet::_base_/default_runtime.py', 'heir.py')[1] == 'mmdet'


def test_wheel_holds_all_configs_and_tools(installed, checkout):
    for name in ('configs', 'tools'):
        assert files(installed / 'mmrsir/.mim' / name) == files(checkout / name)
    assert (installed / 'mmrsir/.mim/model-index.yml').is_file()


def test_wheel_holds_the_weights_and_the_marker_of_types(installed, checkout):
    weights = {name for name in files(checkout / 'mmrsir/weights') if not name.endswith('.py')}
    assert weights <= files(installed / 'mmrsir/weights')
    assert (installed / 'mmrsir/py.typed').is_file()


def test_wheel_describes_itself(installed):
    (info,) = installed.glob('mmrsir-*.dist-info')
    metadata = message_from_string((info / 'METADATA').read_text())
    assert metadata['Version'] == __version__
    assert metadata['Description-Content-Type'] == 'text/markdown'
    assert metadata.get_payload().strip() == (ROOT / 'README.md').read_text().strip()
    assert set(metadata.get_all('Provides-Extra')) == {'full', 'dev', 'app'}
    assert metadata['Keywords'] and metadata.get_all('Classifier') and metadata['Author']


@pytest.mark.slow
def test_wheel_is_what_is_imported(seen, installed):
    assert Path(seen['package']) == installed / 'mmrsir'


@pytest.mark.slow
@pytest.mark.parametrize('name', NANO)
def test_wheel_gives_its_configs_to_heirs_and_to_the_hub_and_builds_them(name, seen):
    assert seen[name] == dict(inherits=True, hub=True, backbone='mmrsir.models.rsir')


def test_editable_install_links_to_the_checkout(checkout, tmp_path):
    pip('install', '--target', str(tmp_path), '--editable', str(checkout))
    for name in PACKED:
        assert (checkout / 'mmrsir/.mim' / name).resolve() == checkout / name
