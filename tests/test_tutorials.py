"""What docs/tutorials, docs/getting_started.md, docs/visualize.md and the notebook show works.

The blocks of a page run in their order, as they stand: configs are written to files, commands run,
Python is executed. Networks have fewer blocks, images are small and trainings take a few
iterations, by the rules of :mod:`.shrink`.
"""

import itertools
import json
import re
import runpy
import shlex
import sys
from glob import glob
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, init_default_scope
from PIL import Image

from mmrsir.apis import predictor
from mmrsir.engine import launch
from mmrsir.engine.config_files import read_file
from mmrsir.models import PyramidTransformer
from mmrsir.models.mixers import MIXERS

from .helpers.commands import ROOT
from .helpers.shrink import build_shapes, shrink

FENCED = re.compile(r'^```(\w+)\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)
FILE = re.compile(r'# (\w+\.py)\n')
CLASS_OF_SHAPE = np.array([255, 1, 1, 2, 2, 0], dtype=np.uint8)  # in roads, by ADE20K's label


class Reader:
    """Someone who follows a page, in a folder that has tools/, configs/ and demo/ in it.

    Args:
        folder: The folder.
        monkeypatch: pytest's.
    """

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.names = {}
        self.counter = itertools.count()
        self.read = launch.read_config
        for name in ('benchmarks', 'configs', 'demo', 'tools'):
            (folder / name).symlink_to(ROOT / name)
        monkeypatch.chdir(folder)
        for module in (launch, predictor):
            monkeypatch.setattr(module, 'read_config', self.read_small)

    def read_small(self, path, cfg_options):
        """Read a config and make it small; each run has a log and a visualizer of its own."""
        cfg = self.read(path, cfg_options)
        small = shrink(cfg, 'data', f'{self.folder.name}-{next(self.counter)}')
        small.work_dir = cfg.get('work_dir')
        if cfg.default_scope == 'mmdet':
            small.model.roi_head.bbox_head.fc_out_channels = 64
        elif cfg.default_scope == 'mmseg':
            small.model.decode_head.channels = 64
        return small

    def follow(self, page, languages=('python', 'bash')):
        """Do what a page says."""
        for language, block in FENCED.findall((ROOT / 'docs' / page).read_text()):
            if language not in languages:
                continue
            if language == 'bash':
                self.run(block)
            elif file := FILE.match(block):
                (self.folder / file[1]).write_text(block)
            else:
                exec(compile(block, page, 'exec'), self.names)

    def run(self, block):
        """Run commands."""
        for command in block.replace('\\\n', ' ').splitlines():
            words = [name for word in shlex.split(command) for name in expand(word)]
            assert words[0] == 'python', command
            self.monkeypatch.setattr(sys, 'argv', words[1:])
            self.monkeypatch.syspath_prepend(Path(words[1]).parent)
            try:
                runpy.run_path(words[1], run_name='__main__')
            except SystemExit as error:
                assert not error.code, command

    def make_checkpoint(self, config, path):
        """Write a checkpoint with random weights for one of our configs."""
        cfg = self.read_small(config, None)
        init_default_scope(cfg.default_scope)
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        file = self.folder / path
        file.parent.mkdir(parents=True)
        torch.save(dict(state_dict=model.state_dict()), file)


def expand(word):
    """Expand a pattern of file names as the shell does."""
    return sorted(glob(word)) if '*' in word else [word]


def check_pretrained(name):
    """The backbone of a page's config takes all weights that come with the package."""
    cfg = read_file(f'{name}_pretrained.py')
    assert cfg.work_dir == f'work_dirs/{name}_pretrained'
    backbone = MODELS.build(cfg.model.backbone)
    before = backbone.state_dict()['patch_embed.projection.weight'].clone()
    backbone.init_weights()  # refuses weights of another shape
    assert not torch.equal(before, backbone.state_dict()['patch_embed.projection.weight'])


@pytest.fixture
def reader(tmp_path, monkeypatch):
    return Reader(tmp_path, monkeypatch)


@pytest.fixture
def screws(shapes, reader):
    """Data in the format of the detection tutorial: discs are screws."""
    page = (ROOT / 'docs/tutorials/fine_tune_detection.md').read_text()
    (example,) = (json.loads(block) for kind, block in FENCED.findall(page) if kind == 'json')
    folder = reader.folder / 'data/screws'
    (folder / 'annotations').mkdir(parents=True)
    (folder / 'images').mkdir()
    for split in ('train', 'val'):
        content = json.loads((shapes / f'coco/annotations/instances_{split}.json').read_text())
        content['categories'] = example['categories']
        for annotation in content['annotations']:
            annotation['category_id'] = example['categories'][0]['id']
        for part, (record,) in example.items():
            content[part] = [{key: one.get(key) for key in record} for one in content[part]]
        content = {part: content[part] for part in example}
        (folder / f'annotations/{split}.json').write_text(json.dumps(content))
        for file in (shapes / 'coco' / split).iterdir():
            (folder / 'images' / file.name).symlink_to(file)
    return folder


@pytest.fixture
def other_formats(shapes, reader):
    """Data in the other formats of the detection tutorial: XML files, and pictures of masks."""
    bolts, pegs = (reader.folder / 'data' / name for name in ('bolts', 'pegs'))
    for folder in (bolts / 'Annotations', bolts / 'JPEGImages', pegs / 'images', pegs / 'masks'):
        folder.mkdir(parents=True)
    box = ''.join(f'<{side}>9</{side}>' for side in ('xmin', 'ymin', 'xmax', 'ymax'))
    labels = np.zeros((256, 256), dtype=np.uint8)
    labels[50:80, 40:80] = 1
    for file in (shapes / 'coco/train').iterdir():
        (bolts / 'JPEGImages' / file.name).symlink_to(file)
        (pegs / 'images' / file.name).symlink_to(file)
        text = f'<annotation><object><name>bolt</name><bndbox>{box}</bndbox></object></annotation>'
        (bolts / f'Annotations/{file.stem}.xml').write_text(text)
        Image.fromarray(labels).save(pegs / f'masks/{file.stem}_mask.png')


@pytest.fixture
def roads(shapes, reader):
    """Data in the format of the segmentation tutorial."""
    folder = reader.folder / 'data/roads'
    for split, name in (('train', 'training'), ('val', 'validation')):
        (folder / 'images').mkdir(parents=True, exist_ok=True)
        (folder / 'images' / split).symlink_to(shapes / 'ade/images' / name)
        (folder / 'labels' / split).mkdir(parents=True)
        for file in (shapes / 'ade/annotations' / name).iterdir():
            labels = CLASS_OF_SHAPE[np.asarray(Image.open(file))]
            Image.fromarray(labels).save(folder / 'labels' / split / file.name)
    return folder


@pytest.fixture
def leaves(shapes, reader):
    """Data in the format of the classification tutorial."""
    folder = reader.folder / 'data/leaves'
    for split in ('train', 'val'):
        (folder / split).mkdir(parents=True)
        classes = sorted((shapes / 'imagenet' / split).iterdir())
        for name, source in zip(('beech', 'maple', 'oak'), classes, strict=False):
            (folder / split / name).symlink_to(source)
    return folder


@pytest.fixture
def photo(shapes, reader):
    """A picture under the name that the pages give it."""
    (reader.folder / 'photo.jpg').symlink_to(min((shapes / 'coco/val').iterdir()))


@pytest.mark.slow
def test_detector_is_fine_tuned_on_own_data(reader, screws, other_formats, photo):
    checkpoint = 'work_dirs/rsir_t_1x_coco/epoch_12.pth'
    reader.make_checkpoint('configs/mask_rcnn/rsir_t_1x_coco.py', checkpoint)
    reader.follow('tutorials/fine_tune_detection.md')
    assert len(list(reader.folder.glob('work_dirs/screws/pictures/*.jpg'))) == 2
    predictions = reader.folder / 'work_dirs/screws/predictions/predictions.json'
    found = json.loads(predictions.read_text())['photo.jpg']
    assert {one['label'] for one in found} <= {'screw'}
    assert reader.names['predictor'].model.roi_head.bbox_head.num_classes == 1
    check_pretrained('screws')
    many = read_file(reader.folder / 'screws_many.py')
    assert many.test_evaluator.max_dets == many.model.test_cfg.rcnn.max_per_img == 500
    for name in ('bolts', 'pegs'):
        content = json.loads((reader.folder / f'data/{name}/annotations/val.json').read_text())
        assert len(content['annotations']) == len(content['images']) == 2
        assert content['categories'] == [dict(id=1, name=name[:-1])]


def test_own_images_are_classified(reader, leaves, photo):
    reader.follow('tutorials/classification.md')
    assert (reader.folder / 'work_dirs/leaves/results/confusion_matrix.png').is_file()
    predictions = reader.folder / 'work_dirs/leaves/predictions/predictions.json'
    found = json.loads(predictions.read_text())['photo.jpg']
    assert {one['label'] for one in found} == {'beech', 'maple', 'oak'}
    check_pretrained('leaves')


@pytest.mark.slow
def test_own_data_is_segmented(reader, roads, photo):
    reader.follow('tutorials/segmentation.md')
    for folder, number in (('labels', 2), ('predictions', 1)):
        files = list((reader.folder / 'work_dirs/roads' / folder).glob('*[0-9s].png'))
        assert len(files) == number
        for file in files:
            assert set(np.unique(np.asarray(Image.open(file)))) <= {0, 1, 2}
    check_pretrained('roads')


@pytest.mark.slow
def test_another_number_stands_for_not_labelled(reader, roads):
    reader.follow('tutorials/segmentation.md', languages=['python'])
    for file in roads.glob('labels/*/*.png'):
        labels = np.array(Image.open(file))
        labels[labels == 255] = 3
        Image.fromarray(labels).save(file)
    reader.run('python tools/misc/check_dataset.py roads_void.py')
    reader.run('python tools/train.py roads_void.py')
    (log,) = reader.folder.glob('work_dirs/roads_void/*/vis_data/scalars.json')
    validation = json.loads(log.read_text().splitlines()[-1])
    assert 0 <= validation['mIoU'] <= 100


def test_images_of_twelve_bits_have_their_range(reader, roads):
    reader.follow('tutorials/segmentation.md', languages=['python'])
    for split in ('train', 'val'):
        cfg = reader.read_small('roads_12bit.py', None)
        init_default_scope(cfg.default_scope)
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        load = dataset.pipeline.transforms[0]
        assert load.reading.value_range == (0, 4095)


def test_colours_become_label_maps(reader):
    reader.follow('tutorials/segmentation.md', languages=['python'])
    mask = Image.fromarray(np.array([[[220, 20, 60], [0, 130, 200], [1, 2, 3]]], dtype=np.uint8))
    assert np.asarray(reader.names['to_label_map'](mask)).tolist() == [[1, 2, 255]]


def test_pyramid_serves_another_project(reader, capsys):
    reader.follow('tutorials/feature_pyramid.md')
    page = (ROOT / 'docs/tutorials/feature_pyramid.md').read_text()
    printed = capsys.readouterr().out
    for expected in re.findall(r'^# (\[.*\])$', page, flags=re.MULTILINE):
        assert expected in printed
    assert '100.0% of the weights matched' in printed
    before, after = re.search(r'loss (\S+) -> (\S+)', printed).groups()
    assert float(after) < 0.8 * float(before)


def test_variants_run(reader, monkeypatch, capsys):
    monkeypatch.setitem(MIXERS, 'diagonal', None)  # the page registers it: for this test alone
    del MIXERS['diagonal']
    reader.follow('tutorials/ablation.md', languages=['python'])
    assert "did you mean 'shifted_window'?" in capsys.readouterr().out
    assert len(reader.names['levels']) == 4
    windows, rs_only = (
        build_shapes(read_file(reader.folder / name)).backbone
        for name in ('rsir_t_windows14_1x_coco.py', 'rs_only_t_1x_coco.py')
    )
    assert windows.stages[0].blocks[0].mixer.window_tokens == 14 * 14
    assert type(rs_only) is PyramidTransformer
    assert {type(block.mixer) for block in rs_only.stages[2].blocks} == {MIXERS['rs']}


@pytest.mark.slow
def test_variants_are_compared(reader):
    reader.follow('tutorials/ablation.md', languages=['bash'])
    assert (reader.folder / 'work_dirs/first_ablation/results.png').is_file()


@pytest.mark.slow
def test_getting_started_runs(reader, photo, capsys):
    reader.make_checkpoint('configs/mask_rcnn/rsir_n_shapes.py', 'work_dirs/demo/epoch_8.pth')
    reader.follow('getting_started.md')
    assert '[(1, 64, 120, 160), (1, 128, 60, 80)' in capsys.readouterr().out
    assert build_shapes(read_file('mask_rcnn_rsir_t.py')).backbone.out_channels[0] == 64


@pytest.mark.slow
def test_what_the_model_sees_is_drawn(reader, photo):
    reader.make_checkpoint('configs/mask_rcnn/rsir_n_shapes.py', 'work_dirs/demo/epoch_8.pth')
    reader.follow('visualize.md')
    page = (ROOT / 'docs/visualize.md').read_text()
    for name in re.findall(r'^\| `(\w+\.\w+)` \|', page, flags=re.MULTILINE):
        assert (reader.folder / 'work_dirs/windows/photo_demo_epoch_8' / name).is_file(), name
    assert len(list((reader.folder / 'work_dirs/receptive_field').glob('photo_*.png'))) == 1
    assert (reader.folder / 'work_dirs/uncertainty/photo_uncertainty.png').is_file()
    assert (reader.names['first'].mixer, reader.names['first'].query) == ('rs', (5, 10))
    assert reader.names['first'].weights_BhHW.shape == (1, 2, 16, 16)


def test_notebook_runs_from_top_to_bottom(capsys):
    notebook = json.loads((ROOT / 'docs/notebooks/walkthrough.ipynb').read_text())
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    names = {}
    for cell in code:
        assert cell['outputs'] == []
        exec(compile(''.join(cell['source']), cell['id'], 'exec'), names)
    assert 'fixed windows, twice the same: True' in capsys.readouterr().out
