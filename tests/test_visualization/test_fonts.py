"""Names of classes are drawn with fonts that have their letters, or a line says what is missing."""

from contextlib import nullcontext

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.registry import VISUALIZERS
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmrsir import replacements
from mmrsir.analysis.errors import confusion_chart as picture
from mmrsir.visualization import contact_sheet, fonts

USUAL = matplotlib.rcParams['font.family']


def test_usual_letters_need_no_other_font():
    with fonts.fonts_for(['oak', 'Grüne Buche', 'дуб']):
        assert matplotlib.rcParams['font.family'] == USUAL


def test_letters_without_a_font_are_named_once_with_what_to_install(monkeypatch):
    said = []
    monkeypatch.setattr(fonts, 'print_log', lambda text, **_: said.append(text))
    for _ in range(2):
        fonts.fonts_for(['oak', chr(0x30000)])
    assert len(said) == 1 and 'fonts-noto-cjk' in said[0] and repr(chr(0x30000)) in said[0]


def test_font_that_has_the_letters_is_added_inside_the_context(monkeypatch):
    letters = fonts._letters
    fonts._families.cache_clear()

    def without_seven(path):
        return letters(path) - ({ord('7')} if 'DejaVuSans.ttf' in path else set())

    monkeypatch.setattr(fonts, '_letters', without_seven)
    with fonts.fonts_for(['class 7']):
        *usual, other = matplotlib.rcParams['font.family']
        assert usual == USUAL and other not in USUAL
    assert matplotlib.rcParams['font.family'] == USUAL


@pytest.mark.parametrize('module', [picture, contact_sheet])
def test_pictures_with_names_of_classes_ask_for_fonts(module, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(module, 'fonts_for', lambda names: asked.extend(names) or nullcontext())
    if module is picture:
        picture.plot_confusion(torch.eye(2), ['beech', 'oak'], 'images', tmp_path / 'out.png')
    else:
        source = tmp_path / 'picture.png'
        Image.new('RGB', (8, 8)).save(source)
        contact_sheet.contact_sheet([source], tmp_path / 'out.png', 1, 'beech', ['oak'])
    assert {'beech', 'oak'} <= set(asked)


def drawn_texts(monkeypatch):
    """The texts and families that visualizers hand to matplotlib from now on."""
    found = []
    text = Axes.text

    def record(axes, x, y, written, **settings):
        found.append((written, settings['family']))
        return text(axes, x, y, written, **settings)

    monkeypatch.setattr(Axes, 'text', record)
    return found


@pytest.fixture
def another_font(monkeypatch):
    """A font that is taken for the letters of other scripts."""
    monkeypatch.setattr(
        fonts, '_families', lambda letters, usual: ('Other',) if max(letters) > 127 else ()
    )
    replacements.enable()


def test_detections_are_drawn_with_a_font_that_has_the_letters(monkeypatch, another_font):
    drawn = drawn_texts(monkeypatch)
    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = dict(classes=['橡树', 'oak'], palette=[(9, 9, 9), (99, 9, 9)])
    found = InstanceData(
        bboxes=torch.tensor([[1.0, 1, 20, 20]] * 2),
        labels=torch.tensor([0, 1]),
        scores=torch.ones(2),
    )
    sample = DetDataSample(pred_instances=found)
    visualizer.add_datasample('a', np.zeros((32, 32, 3), np.uint8), sample, draw_gt=False)
    assert [(text[:3], family) for text, family in drawn] == [
        ('橡树:', ['sans-serif', 'Other']),
        ('oak', 'sans-serif'),
    ]


def test_label_maps_are_drawn_with_a_font_that_has_the_letters(monkeypatch, another_font):
    drawn = drawn_texts(monkeypatch)
    with VISUALIZERS.switch_scope_and_registry('mmseg') as registry:
        visualizer = registry.build(dict(type='SegLocalVisualizer', name='maps', alpha=0.5))
    visualizer.dataset_meta = dict(classes=['橡树', 'oak'], palette=[(9, 9, 9), (99, 9, 9)])
    label_map = torch.tensor([[[0, 1], [1, 1]]]).repeat_interleave(16, 1).repeat_interleave(16, 2)
    sample = SegDataSample(pred_sem_seg=PixelData(data=label_map))
    visualizer.add_datasample('a', np.zeros((32, 32, 3), np.uint8), sample, draw_gt=False)
    assert drawn == [(name, ['sans-serif', 'Other']) for name in ('橡树', 'oak')]


def test_a_label_map_of_one_pixel_is_drawn():
    with VISUALIZERS.switch_scope_and_registry('mmseg') as registry:
        visualizer = registry.build(dict(type='SegLocalVisualizer', name='pixel'))
    visualizer.dataset_meta = dict(classes=['oak', 'elm'], palette=[(9, 9, 9), (99, 9, 9)])
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.tensor([[[1]]])))
    visualizer.add_datasample('a', np.zeros((1, 1, 3), np.uint8), sample, draw_gt=False)
