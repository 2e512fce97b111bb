"""Contact sheets."""

import numpy as np
import pytest
from matplotlib.image import imread, imsave

from mmrsir.visualization.contact_sheet import contact_sheet

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


@pytest.fixture
def pictures(tmp_path):
    for index, color in enumerate(COLORS):
        imsave(tmp_path / f'{index}.png', np.full((20, 40, 3), color, dtype=np.uint8))
    return sorted(tmp_path.glob('?.png'))


def test_contact_sheet_shows_every_picture(pictures, tmp_path):
    contact_sheet(pictures, tmp_path / 'sheet.png', columns=2, title='three')
    pixels = imread(tmp_path / 'sheet.png')[..., :3].reshape(-1, 3)
    for color in COLORS:
        assert (np.abs(pixels - np.array(color) / 255) < 0.01).all(axis=1).mean() > 0.1


def test_captions_have_room_below_the_pictures_and_long_ones_more(pictures, tmp_path):
    heights = []
    for captions in ((), ['short'] * 3, ['a_name_of_a_file_' * 6] * 3):
        contact_sheet(pictures, tmp_path / 'sheet.png', 3, 'three', captions)
        heights.append(imread(tmp_path / 'sheet.png').shape[0])
    assert heights[0] < heights[1] < heights[2]


def test_contact_sheet_needs_a_picture(tmp_path):
    with pytest.raises(ValueError, match='no pictures'):
        contact_sheet([], tmp_path / 'sheet.png', columns=2, title='')


def test_each_picture_needs_its_caption(pictures, tmp_path):
    with pytest.raises(ValueError, match='1 captions for 3 pictures'):
        contact_sheet(pictures, tmp_path / 'sheet.png', 2, '', ['one'])
