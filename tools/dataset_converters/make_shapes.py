"""Make the synthetic data set of shapes, in COCO, ADE20K and ImageNet layout at once.

python tools/dataset_converters/make_shapes.py --out-dir data/shapes
"""

from collections.abc import Sequence

from mmrsir.datasets.converters.command_line import new_parser
from mmrsir.datasets.shapes.dataset import SETTINGS, make_shapes
from mmrsir.utils.errors import plain_errors


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__, 'data/shapes')
    for name, (default, _, text) in SETTINGS.items():
        flag = f'--{name.replace("_", "-")}'
        parser.add_argument(flag, type=int, default=default, help=f'{text} (default: %(default)s)')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='make it again even if it is there, and write among files of others',
    )
    make_shapes(**vars(parser.parse_args(argv)))


if __name__ == '__main__':
    with plain_errors():
        main()
