"""Names of classes are drawn with fonts that have their letters, or a line says what is missing."""

from contextlib import nullcontext

import matplotlib
import pytest
import torch
from PIL import Image

from mmrsir.analysis.errors import confusion_chart as picture
from mmrsir.visualization import contact_sheet, fonts

USUAL = matplotlib.rcParams['font.family']


def test_usual_letters_need_no_other_font():
    with fonts.fonts_for(['oak', 'Grüne Buche', 'дуб']):
        assert matplotlib.rcParams['font.family'] == USUAL


def test_letters_without_a_font_are_named_with_what_to_install(monkeypatch):
    said = []
    monkeypatch.setattr(fonts, 'print_log', lambda text, **_: said.append(text))
    fonts.fonts_for(['oak', chr(0x30000)])
    assert len(said) == 1 and 'fonts-noto-cjk' in said[0] and repr(chr(0x30000)) in said[0]


def test_font_that_has_the_letters_is_added_inside_the_context(monkeypatch):
    letters = fonts._letters

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
