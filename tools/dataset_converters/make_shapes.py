"""Make the synthetic data set of shapes, in COCO, ADE20K and ImageNet layout at once.

python tools/dataset_converters/make_shapes.py --out-dir data/shapes
"""

from collections.abc import Sequence

from mmrsir.datasets.converters.command_line import new_parser
from mmrsir.datasets.shapes.dataset import make_shapes
from mmrsir.utils.errors import plain_errors

NUMBERS = {
    'num-train': (320, 'training pictures'),
    'num-val': (64, 'validation pictures'),
    'image-size': (256, 'their side in pixels'),
    'num-cls-train': (200, 'classification: training pictures per class'),
    'num-cls-val': (40, 'classification: validation pictures per class'),
    'cls-image-size': (96, 'classification: side in pixels'),
    'seed': (0, 'seed of every random choice'),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__, 'data/shapes')
    for name, (default, text) in NUMBERS.items():
        parser.add_argument(
            f'--{name}', type=int, default=default, help=f'{text} (default: %(default)s)'
        )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='make it again even if it is there, and write among files of others',
    )
    make_shapes(**vars(parser.parse_args(argv)))


if __name__ == '__main__':
    with plain_errors():
        main()
