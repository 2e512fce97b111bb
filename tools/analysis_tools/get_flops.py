"""Count parameters, multiply-adds, sorted and moved elements of a model of the three libraries.

Example:
    python tools/analysis_tools/get_flops.py configs/mask_rcnn/rsir_t_1x_coco.py --shape 800 1280
"""

import argparse

from mmrsir import replacements
from mmrsir.analysis.flops import count_config
from mmrsir.engine import launch
from mmrsir.utils.errors import InvalidValueError, plain_errors

PAPER_SHAPES = {'mmdet': (800, 1280), 'mmseg': (512, 2048), 'mmpretrain': (224, 224)}


def side(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no number of pixels. Write the config before --shape, and sides apart: '
            'CONFIG --shape 64 96'
        )
    return int(text)


def main() -> None:
    replacements.enable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    launch.add_config_arguments(parser)
    parser.add_argument(
        '--shape',
        type=side,
        nargs='+',
        metavar='SIDE',
        help="height and width in pixels, or the side of a square (default: the paper's for the "
        'task)',
    )
    args = parser.parse_args()

    cfg = launch.read_config(args.config, args.cfg_options)
    shape = args.shape or PAPER_SHAPES[cfg.default_scope]
    if len(shape) > 2:
        raise InvalidValueError(f'--shape {" ".join(map(str, shape))} must be one side or two')
    height, width = shape[0], shape[-1]
    cost = count_config(cfg, height, width)
    print(f'{args.config} at {height} x {width}:')
    print(f'  parameters {cost.params / 1e6:.2f} M')
    print(f'  FLOPs (multiply-adds) {cost.flops / 1e9:.2f} G')
    print(f'  sorted elements {cost.sorted_elements / 1e6:.2f} M')
    print(f'  moved elements {cost.moved_elements / 1e6:.2f} M')


if __name__ == '__main__':
    with plain_errors():
        main()
