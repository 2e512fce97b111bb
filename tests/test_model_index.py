"""The metafiles list every config, and what they say of it is so."""

import re
from itertools import groupby

import pytest
from mmengine.fileio import load

from mmrsir.analysis.flops import count_config

from .helpers.commands import ROOT
from .helpers.configs import CONFIGS, read
from .helpers.shrink import build_shapes

METAFILES = load(ROOT / 'model-index.yml')['Import']
LISTED = [(path, model) for path in METAFILES for model in load(ROOT / path)['Models']]


def network(model):
    """Return a config's path without its schedule; where it is equal, so is the network."""
    return re.sub(r'_\d+[xk](-ms)?_', '_', model['Config'].removesuffix('.py'))


NETWORKS = {
    name: list(models)
    for name, models in groupby(sorted((model for _, model in LISTED), key=network), network)
}
QUICK = [
    name
    for name, models in NETWORKS.items()
    if re.search(r'/rsir_[nt]_', name)
    or (name.endswith('_in1k') and models[0]['Metadata']['Parameters'] < 5e7)
]


def test_every_config_is_listed_once():
    assert sorted(model['Config'] for _, model in LISTED) == CONFIGS


@pytest.mark.parametrize('path', CONFIGS)
def test_a_head_holds_the_command_and_no_figures(path):
    head = (ROOT / path).read_text().split('"""')[1]
    assert re.search(r'^Command +\S', head, flags=re.MULTILINE)
    assert not re.search(r'^(Cost|Published|Measured) ', head, flags=re.MULTILINE)


def test_every_metafile_is_imported():
    assert sorted(METAFILES) == sorted(
        str(path.relative_to(ROOT)) for path in ROOT.glob('configs/[!_]*/**/metafile.yml')
    )


def test_a_config_is_listed_beside_it():
    for metafile, model in LISTED:
        assert model['Config'].rpartition('/')[0] == metafile.rpartition('/')[0]


def test_names_are_unique():
    names = [model['Name'] for _, model in LISTED]
    assert len(set(names)) == len(names)


def test_the_index_is_valid():
    modelindex = pytest.importorskip('modelindex')
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    assert index.check(silent=True) == []
    assert len(index.models) == len(CONFIGS)
    for model in index.models:  # with what it takes over from its collection
        assert model.full_model.paper['URL'].endswith('2304.06250')


@pytest.mark.parametrize('model', [pytest.param(model, id=model['Name']) for _, model in LISTED])
def test_schedule(model):
    cfg = read(model['Config'])
    metadata = model['Metadata']
    assert metadata.get('Epochs') == cfg.train_cfg.get('max_epochs')
    assert metadata.get('Iterations') == cfg.train_cfg.get('max_iters')
    assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size


@pytest.mark.parametrize('name', NETWORKS)
def test_parameters(name):
    parameters = build_shapes(read(NETWORKS[name][0]['Config'])).parameters()
    listed = {model['Metadata']['Parameters'] for model in NETWORKS[name]}
    assert listed == {sum(parameter.numel() for parameter in parameters)}


@pytest.mark.parametrize(
    'name',
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS],
)
def test_flops(name):
    model = NETWORKS[name][0]
    height, width = map(int, model['Metadata']['Image Size'].split(' x '))
    flops = count_config(read(model['Config']), height, width).flops
    assert {model['Metadata']['FLOPs'] for model in NETWORKS[name]} == {flops}
