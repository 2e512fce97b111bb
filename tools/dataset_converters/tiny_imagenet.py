"""Check a copy of Tiny-ImageNet and list its images for training and validation.

python tools/dataset_converters/tiny_imagenet.py tiny-imagenet-200.zip
python tools/dataset_converters/tiny_imagenet.py IMagenet/tiny-imagenet-200
"""

from collections.abc import Sequence
from pathlib import Path

from mmrsir.datasets.converters.command_line import new_parser
from mmrsir.datasets.converters.tiny_imagenet import convert
from mmrsir.utils.errors import plain_errors


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__, 'data/tiny_imagenet')
    parser.add_argument(
        'source', type=Path, help='tiny-imagenet-200.zip, or the folder that it holds'
    )
    args = parser.parse_args(argv)
    convert(args.source, args.out_dir, args.workers)


if __name__ == '__main__':
    with plain_errors():
        main()
