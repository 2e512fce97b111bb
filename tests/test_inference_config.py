"""Inference needs a model and its classes, no data set."""

import numpy as np
import pytest
import torch

from mmrsir.apis import Predictor
from mmrsir.apis.inference_config import NoPipelineError

from .helpers.commands import ROOT, tool
from .helpers.configs import SHAPES as CONFIGS

PICTURE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
NONE = '\n'.join(
    f'{split}_{part} = None'
    for split in ('val', 'test')
    for part in ('dataloader', 'evaluator', 'cfg')
)


@pytest.fixture
def heir(tmp_path):
    """Write a config that inherits from that of a library, with more in it."""

    def write(scope, more):
        path = tmp_path / 'heir.py'
        path.write_text(f"_base_ = ['{ROOT / CONFIGS[scope]}']\n{more}\n")
        return str(path)

    return write


def save(model, path, **meta):
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


@pytest.mark.filterwarnings('ignore:Checkpoint is not loaded')
@pytest.mark.parametrize('scope', CONFIGS)
def test_a_config_that_only_trains_predicts_as_one_that_tests(scope, heir, tmp_path):
    torch.manual_seed(0)
    tests = Predictor(CONFIGS[scope], device='cpu', score_thr=0.0)
    classes = tuple('abcde'[: len(tests.classes)])
    checkpoint = save(tests.model, tmp_path / 'one.pth', dataset_meta=dict(classes=classes))
    expected = Predictor(CONFIGS[scope], checkpoint, 'cpu', 0.0)(PICTURE).found
    only_trains = Predictor(heir(scope, NONE), checkpoint, 'cpu', 0.0)
    assert tuple(only_trains.classes) == classes
    assert only_trains(PICTURE).found == expected != []


@pytest.mark.filterwarnings('ignore:Checkpoint is not loaded')
@pytest.mark.parametrize(
    ('scope', 'prepared'),
    [
        ('mmdet', [('Resize', (240, 180))]),
        ('mmseg', [('Resize', (256, 192))]),
        ('mmpretrain', [('ResizeEdge', 110), ('CenterCrop', 96)]),
    ],
)
def test_without_a_pipeline_for_tests_that_of_training_serves_without_chance(
    scope, prepared, heir, capfd
):
    scales = {
        'mmdet': "dict(type='RandomChoiceResize', scales=[(200, 150), (240, 180)])",
        'mmseg': "dict(type='RandomResize', scale=(256, 192), ratio_range=(0.5, 2.0))",
        'mmpretrain': "dict(type='RandomResizedCrop', scale=96)",
    }
    pack = {'mmdet': 'PackDetInputs', 'mmseg': 'PackSegInputs', 'mmpretrain': 'PackInputs'}
    pipeline = (
        f"[dict(type='LoadImageFromFile'), {scales[scope]}, dict(type='RandomFlip', prob=1.0), "
        f"dict(type='{pack[scope]}')]"
    )
    more = (
        f'{NONE}\ntest_pipeline = None\ntrain_dataloader = dict(dataset=dict(pipeline={pipeline}))'
    )
    predictor = Predictor(heir(scope, more), device='cpu')
    transforms = predictor.cfg.test_dataloader.dataset.pipeline[1:-1]
    found = [(one.type, one.get('scale', one.get('crop_size'))) for one in transforms]
    assert found == prepared
    predictor(PICTURE)


def test_a_config_that_prepares_no_image_is_refused(heir):
    more = f'{NONE}\ntest_pipeline = None\ntrain_dataloader = None'
    with pytest.raises(NoPipelineError, match='does not say how to prepare images'):
        Predictor(heir('mmpretrain', more), device='cpu')


@pytest.mark.filterwarnings('ignore:Checkpoint is not loaded')
@pytest.mark.parametrize('scope', CONFIGS)
def test_classes_that_nothing_names_are_numbers(scope, heir):
    more = f'{NONE}\ntrain_dataloader = None'
    classes = Predictor(heir(scope, more), device='cpu').classes
    assert tuple(classes) == tuple(map(str, range(5 if scope == 'mmseg' else 4)))


@pytest.mark.parametrize('name', ['test.py', 'analysis_tools/analyze_results.py'])
def test_a_test_without_images_says_what_it_needs(name, heir, tmp_path):
    config = heir('mmpretrain', NONE)
    model = Predictor(CONFIGS['mmpretrain'], device='cpu').model
    checkpoint = save(model, tmp_path / 'one.pth')
    output = tool(name, config, checkpoint, expect=1)
    assert 'has no test_dataloader and no test_evaluator, and no validation' in output
    assert 'Traceback' not in output
