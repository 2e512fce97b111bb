"""Draws docs/images/architecture.svg: the way of an image through RSIR-T.

python docs/images/architecture.py
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

mpl.use('svg')
mpl.rcParams.update(
    {
        'svg.hashsalt': 'mmrsir',
        'svg.fonttype': 'none',  # text stays text
        'font.size': 7,
        'font.family': 'DejaVu Sans',
    }
)
RASTER, MOVED, CONVOLUTION = '#d6e4f5', '#fbe3c8', '#dcecd8'
WIDTH, HEIGHT = 16.0, 9.2
STAGES = (  # blocks, grid, channels, windows of 49 tokens
    (2, 56, 64, 64),
    (2, 28, 128, 16),
    (16, 14, 256, 4),
    (2, 7, 512, 1),
)


def box(axes: Axes, left: float, bottom: float, size: tuple, text: str, colour: str) -> None:
    axes.add_patch(
        mpl.patches.FancyBboxPatch(
            (left, bottom), *size, 'round,pad=0,rounding_size=0.08', fc=colour, ec='#444', lw=0.8
        )
    )
    axes.text(left + size[0] / 2, bottom + size[1] / 2, text, ha='center', va='center')


def arrow(axes: Axes, start: tuple, end: tuple, text: str = '') -> None:
    axes.annotate('', end, start, arrowprops=dict(arrowstyle='-|>', color='#444', lw=0.9))
    if text:
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.1)
        axes.text(*middle, text, ha='center', va='bottom', fontsize=6)


def draw_network(axes: Axes) -> None:
    axes.text(0.1, 8.8, 'RSIR-T on an image of 224 x 224 pixels', fontsize=10, weight='bold')
    axes.text(0.55, 7.15, 'image\n3 x 224\nx 224', ha='center', va='center')
    arrow(axes, (1.2, 7.15), (1.5, 7.15))
    left = 1.5
    for number, (blocks, side, channels, windows) in enumerate(STAGES):
        name = (
            'patch_embed\n7x7, stride 4' if number == 0 else f'merging.{number - 1}\n3x3, stride 2'
        )
        box(axes, left, 6.6, (1.2, 1.1), name, CONVOLUTION)
        arrow(axes, (left + 1.2, 7.15), (left + 1.45, 7.15))
        text = (
            f'stages.{number}\n{blocks} blocks\n{side * side} tokens\n({side} x {side})\n'
            f'{channels} channels\n{windows} window{"s" * (windows > 1)} of 49'
        )
        box(axes, left + 1.45, 6.3, (1.75, 1.7), text, MOVED)
        middle = left + 2.32
        arrow(axes, (middle, 6.3), (middle, 5.9))
        box(axes, left + 1.45, 5.35, (1.75, 0.55), f'norm{number}', RASTER)
        arrow(axes, (middle, 5.35), (middle, 5.0))
        axes.text(middle, 4.85, f'{channels} x {side} x {side}', ha='center', va='center')
        left += 3.45
        if number < 3:
            arrow(axes, (left - 0.25, 7.15), (left, 7.15))
    axes.text(WIDTH / 2, 4.5, 'the pyramid: one map a stage, for a neck or a head', ha='center')


def draw_stage(axes: Axes) -> None:
    axes.text(0.1, 3.85, 'One stage: each block takes its tokens from the order of the last one',
              fontsize=10, weight='bold')  # fmt: skip
    steps = (
        ('tokens in\nraster order', RASTER, ''),
        ('peg\n3x3, depthwise', CONVOLUTION, ''),
        ('block 0, RS-Win\nrandom order', MOVED, 'gather'),
        ('block 1, IR-Win\norder of importance', MOVED, 'gather'),
        ('block 2, RS-Win\nrandom order', MOVED, 'gather'),
        ('tokens in\nraster order', RASTER, 'gather'),
    )
    for number, (text, colour, move) in enumerate(steps):
        left = 0.2 + 2.65 * number
        if number:
            arrow(axes, (left - 0.6, 3.2), (left, 3.2), move)
        box(axes, left, 2.8, (2.05, 0.8), text, colour)


def draw_block(axes: Axes) -> None:
    axes.text(0.1, 2.2, 'One block', fontsize=10, weight='bold')
    mixer, ffn = 'mixer:\nattention in each window', 'ffn:\nlinear, GELU, linear'
    steps = ('norm1', mixer, 'add', 'norm2', ffn, 'add')
    lefts = (0.6, 2.6, 5.7, 7.2, 9.2, 12.3)
    widths = (1.4, 2.5, 0.9, 1.4, 2.5, 0.9)
    arrow(axes, (0.1, 1.0), (0.6, 1.0))
    for number, (text, left, width) in enumerate(zip(steps, lefts, widths, strict=True)):
        box(axes, left, 0.6, (width, 0.8), text, MOVED)
        end = left + width
        arrow(axes, (end, 1.0), (lefts[number + 1] if number < 5 else end + 0.6, 1.0))
    for start, end in ((0.35, 6.15), (6.9, 12.75)):  # residual connections
        axes.plot([start, start, end], [1.0, 1.75, 1.75], color='#444', lw=0.9)
        arrow(axes, (end, 1.75), (end, 1.4))
    legend = (('raster order', RASTER), ('order of the mixer', MOVED), ('convolution', CONVOLUTION))
    for number, (text, colour) in enumerate(legend):
        box(axes, 14.0, 1.4 - 0.55 * number, (1.9, 0.42), text, colour)


def main() -> None:
    figure, axes = plt.subplots(figsize=(12, 12 * HEIGHT / WIDTH))
    axes.set(xlim=(0, WIDTH), ylim=(0.2, HEIGHT))
    axes.axis('off')
    draw_network(axes)
    draw_stage(axes)
    draw_block(axes)
    path = Path(__file__).with_suffix('.svg')
    figure.savefig(path, bbox_inches='tight', metadata=dict(Date=None), facecolor='white')


if __name__ == '__main__':
    main()
