"""Weights load by name, wherever a library takes a checkpoint."""

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file

from mmrsir.engine.config_files import read_file
from mmrsir.models import RSIRTransformer
from mmrsir.weights import PACKAGED, UnknownWeightsError, available

from ..helpers.commands import ROOT

NAME = 'rsir_n_tinyimagenet'
NANO = {
    'mmdet': 'configs/mask_rcnn/rsir_n_shapes.py',
    'mmseg': 'configs/upernet/rsir_n_shapes.py',
    'mmpretrain': 'configs/cls/rsir_n_tinyimagenet.py',
}


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """The folder of downloaded weights, with one file of a release."""
    monkeypatch.setenv('MMRSIR_CACHE', str(tmp_path))
    folder = tmp_path / 'weights'
    folder.mkdir()
    save_file({'weight': torch.ones(2)}, folder / 'rsir_x-0123abcd.safetensors')
    return folder


def test_what_comes_along_is_small_and_has_a_card():
    files = sorted(PACKAGED.glob('*.safetensors'))
    assert NAME in {path.stem for path in files}
    for path in files:
        assert path.stat().st_size <= 6e6
        card = path.with_suffix('.md').read_text()
        for heading in ('Data', 'Recipe', 'Accuracy', 'Licence', 'Not for'):
            assert f'## {heading}' in card


def test_a_downloaded_file_has_the_name_without_its_hash(downloads):
    assert available()['rsir_x'] == downloads / 'rsir_x-0123abcd.safetensors'
    model = torch.nn.ParameterDict({'weight': torch.zeros(2)})
    load_checkpoint(model, 'mmrsir://rsir_x', strict=True)
    assert model.weight.tolist() == [1, 1]


def test_an_unknown_name_says_what_there_is_and_where_others_go(downloads):
    with pytest.raises(UnknownWeightsError) as caught:
        load_checkpoint(torch.nn.Identity(), 'mmrsir://rsir_n_tinyimagenets')
    text = str(caught.value)
    assert f'did you mean mmrsir://{NAME}?' in text and f'put it into {downloads}' in text
    assert 'Available: rsir_n_tinyimagenet, rsir_x.' in text


@pytest.mark.parametrize('scope', NANO)
def test_a_model_of_each_library_starts_from_them(scope):
    cfg = read_file(ROOT / NANO[scope])
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=f'mmrsir://{NAME}')
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(cfg.model)
    before = model.backbone.stages[1].blocks[0].mixer.attn.qkv.weight.clone()
    model.init_weights()
    after = model.backbone.stages[1].blocks[0].mixer.attn.qkv.weight
    plain = RSIRTransformer(
        'nano', init_cfg=dict(type='Pretrained', checkpoint=f'mmrsir://{NAME}', min_matched=0.9)
    )
    plain.init_weights()
    assert not torch.equal(before, after)
    assert torch.equal(after, plain.stages[1].blocks[0].mixer.attn.qkv.weight)
    assert after.dtype == torch.float32


def test_they_classify_and_name_their_classes():
    cfg = read_file(ROOT / NANO['mmpretrain'])
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    checkpoint = load_checkpoint(model, f'mmrsir://{NAME}', strict=True)
    classes = checkpoint['meta']['dataset_meta']['classes']
    assert len(classes) == 200 and 'goldfish' in classes
