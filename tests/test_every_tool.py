"""Each tool runs as a user runs it: by its command line, on the shipped nano configs."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmrsir.engine.config_files import read_file

from .helpers.commands import ROOT, tool

SHAPES = ('cross', 'disc', 'ring', 'triangle')
CLASSES = {'mask_rcnn': SHAPES, 'upernet': (*SHAPES, 'background'), 'cls': SHAPES}
# The command, and a file that it leaves in the folder it is run in.
COMMANDS = {
    'test': ('test.py {config} {checkpoint}', '*.json'),
    'analyze_results': ('analysis_tools/analyze_results.py {config} {checkpoint}', 'per_class.csv'),
    'benchmark': (
        '../benchmarks/benchmark.py config:{config} --sizes 64:1 --steps forward --repeats 1',
        '*.png',
    ),
    'get_flops': ('analysis_tools/get_flops.py {config} --shape 64', None),
    'export': ('deployment/export.py {config} {checkpoint} {part} --sizes 64x96:2', '*_*.*'),
    'check_dataset': ('misc/check_dataset.py {config} --workers 1', None),
    'publish_model': ('model_converters/publish_model.py {checkpoint} model', 'model-*.pth'),
    'browse_dataset': ('visualization/browse_dataset.py {config} --number 2', 'sheet.png'),
    'show_windows': (
        'visualization/show_windows.py {picture} {config} --checkpoint {checkpoint} --max-size 64',
        'blocks.gif',
    ),
    'receptive_field': (
        'visualization/receptive_field.py {picture} {config}={checkpoint} --max-size 64',
        'receptive_field/*.png',
    ),
    'image_demo': ('../demo/image_demo.py {picture} {config} {checkpoint}', 'predictions.json'),
}
NOISE = ('Could not import OneDL', 'Failed to search registry', 'UserWarning', 'Traceback')
# Tracing takes longest: whole models of the other two tasks are exported in test_export.py.
PART = {'cls': ''}


@pytest.fixture(scope='module', params=CLASSES)
def task(request, tmp_path_factory):
    """A task: its folder of configs, and a checkpoint as a training writes it."""
    torch.manual_seed(0)
    cfg = read_file(ROOT / f'configs/{request.param}/rsir_n_shapes.py')
    init_default_scope(cfg.default_scope)
    classes = CLASSES[request.param]
    meta = dict(dataset_meta=dict(classes=classes, palette=[(9, 9, 9)] * len(classes)))
    path = tmp_path_factory.mktemp(request.param) / 'epoch_1.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta=meta), path)
    return request.param, path


@pytest.mark.parametrize('name', COMMANDS)
def test_tool_runs_on_the_config_as_it_is(task, name, shapes, tmp_path):
    folder, checkpoint = task
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/shapes').symlink_to(shapes)
    command, left = COMMANDS[name]
    arguments = command.format(
        config=f'{folder}/rsir_n_shapes',
        checkpoint=checkpoint,
        part=PART.get(folder, '--part backbone --format torch'),
        picture=next((shapes / 'coco/val').iterdir()),
    )
    output = tool(*arguments.split(), folder=tmp_path)
    assert output
    assert not [said for said in NOISE if said in output], output[-2000:]
    if left is not None:
        assert list(tmp_path.rglob(left)), output[-2000:]
