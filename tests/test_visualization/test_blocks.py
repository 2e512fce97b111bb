"""Pictures of windows, attention and importance show what the backbone reports."""

import json
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

from mmrsir.models import PyramidTransformer
from mmrsir.utils.errors import plain_errors
from mmrsir.visualization import blocks

from ..helpers.commands import ROOT, run_here

ARCH = dict(embed_dims=8, depths=(2, 1), num_heads=(2, 2))
SIZE = (48, 64)


@pytest.fixture(scope='module')
def traces():
    torch.manual_seed(0)
    model = PyramidTransformer(ARCH, window_size=3, out_indices=(0, 1)).eval()
    with torch.no_grad():
        return model.trace(torch.randn(1, 3, *SIZE), (20, 10))


@pytest.fixture
def picture():
    return np.zeros((*SIZE, 3), dtype=np.uint8)


def drawn_overlay(picture, placed, view):
    """The colours over the patches, and the corners of the frame."""
    axes = Figure().subplots()
    blocks.draw_block(axes, picture, placed, view)
    (frame,) = axes.patches
    return axes.images[1].get_array(), frame.get_xy(), axes.get_title()


def test_what_the_query_does_not_see_is_faded(traces, picture):
    for placed in blocks.place(traces):
        colors, corner, title = drawn_overlay(picture, placed, 'window')
        seen = colors[..., 3] == 0
        assert np.array_equal(seen, (placed.trace.weights_BhHW[0] > 0).any(0).numpy())
        size = 4 * 2 ** (placed.stage - 1)
        assert corner == (20 // size * size, 10 // size * size)
        assert f'stage {placed.stage}, block {placed.block}' in title
        assert f'{seen.sum()} of {seen.size} patches' in title


def test_each_window_has_a_colour(traces, picture):
    placed = blocks.place(traces)[0]
    colors, _, _ = drawn_overlay(picture, placed, 'windows')
    windows = placed.trace.windows_BHW[0].numpy()
    for number in range(windows.max() + 1):
        assert len(np.unique(colors[windows == number], axis=0)) == 1
    assert len(np.unique(colors.reshape(-1, 4), axis=0)) == windows.max() + 1


@pytest.mark.parametrize('view', ['attention', 'importance'])
def test_brighter_is_more(traces, picture, view):
    placed = blocks.place(traces)[1]  # of IR-Win
    trace = placed.trace
    values = trace.importance_BHW[0] if view == 'importance' else trace.weights_BhHW[0].mean(0)
    colors, _, _ = drawn_overlay(picture, placed, view)
    brightness = colors[..., :3].sum(-1).ravel()
    ranks = [np.argsort(np.argsort(one, kind='stable')) for one in (values.flatten(), brightness)]
    assert np.corrcoef(*ranks)[0, 1] > 0.95 or view == 'attention'
    assert brightness.argmax() == values.argmax()
    assert brightness[values.argmin()] == brightness.min()


def test_a_sheet_has_a_cell_for_each_block_that_has_something_to_show(traces, picture, tmp_path):
    heights = {}
    for view in blocks.VIEWS:
        blocks.draw_sheet(picture, traces, view, tmp_path / f'{view}.png')
        heights[view] = np.asarray(Image.open(tmp_path / f'{view}.png')).shape[1]
    assert heights['importance'] < heights['window']  # one block of three has a map


def test_a_view_of_nothing_is_refused(picture, tmp_path):
    arch = dict(embed_dims=8, depths=(1,), num_heads=(2,))
    model = PyramidTransformer(arch, mixers=['axial'], out_indices=(0,)).eval()
    traces = model.trace(torch.randn(1, 3, *SIZE), (0, 0))
    with pytest.raises(ValueError, match='no block of this backbone has'):
        blocks.draw_sheet(picture, traces, 'importance', tmp_path / 'sheet.png')


def test_the_animation_has_a_frame_for_each_block(traces, picture, tmp_path):
    blocks.animate(picture, traces, tmp_path / 'blocks.gif')
    with Image.open(tmp_path / 'blocks.gif') as gif:
        frames = [np.asarray(frame.convert('RGB')) for frame in ImageSequence.Iterator(gif)]
    assert len(frames) == 3
    assert not np.array_equal(frames[0], frames[1])


def test_numbers_are_those_of_the_traces(traces, tmp_path):
    blocks.write_json(traces, tmp_path / 'blocks.json')
    numbers = json.loads((tmp_path / 'blocks.json').read_text())
    assert [one['mixer'] for one in numbers] == ['rs', 'ir', 'rs']
    first, second, _ = numbers
    assert len(first['seen']) == len(first['weights']) == 9
    assert sum(first['weights']) == pytest.approx(1, abs=1e-5)
    assert first['query'] in first['seen'] and 'importance' not in first
    assert np.shape(second['importance']) == np.shape(second['windows']) == (12, 16)


@pytest.fixture
def show_windows(tmp_path, monkeypatch):
    """Run the tool on a picture of noise."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / 'noise.jpg')

    def run(picture='noise.jpg', config='configs/mask_rcnn/rsir_n_shapes.py', *options):
        arguments = [tmp_path / picture, ROOT / config, '--out-dir', tmp_path / 'out', *options]
        run_here(monkeypatch, 'tools/visualization/show_windows.py', *arguments)
        return tmp_path / 'out'

    return run


def test_tool_writes_pictures_animation_and_numbers(show_windows, capsys):
    out_dir = show_windows()
    names = {path.name for path in out_dir.iterdir()}
    assert names == {*(f'{view}.png' for view in blocks.VIEWS), 'blocks.gif', 'blocks.json'}
    assert 'The weights are random' in capsys.readouterr().out
    first = json.loads((out_dir / 'blocks.json').read_text())[0]
    assert first['query'] == [60 // 2 // 4, 90 // 2 // 4]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['none.jpg'], 'none.jpg'),
        (['noise.jpg', 'configs/mask_rcnn/rsir_n_shape.py'], 'did you mean .*rsir_n_shapes.py'),
        (['noise.jpg', 'configs/cls/baselines/swin_t_in1k.py'], 'SwinTransformer cannot be traced'),
        (
            ['noise.jpg', 'configs/mask_rcnn/rsir_n_shapes.py', '--point', '90', '3'],
            'must be inside the image of 90 x 60 pixels',
        ),
    ],
)
def test_tool_says_what_it_cannot_do(show_windows, capsys, arguments, message):
    with pytest.raises(SystemExit), plain_errors():
        show_windows(*arguments)
    assert re.search(message, capsys.readouterr().err)
