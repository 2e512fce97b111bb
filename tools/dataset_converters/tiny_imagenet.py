"""Check a copy of Tiny-ImageNet and list its images for training and validation.

python tools/dataset_converters/tiny_imagenet.py tiny-imagenet-200.zip
python tools/dataset_converters/tiny_imagenet.py IMagenet/tiny-imagenet-200
"""

import argparse
import os
from collections.abc import Sequence

from mmrsir.datasets.converters.tiny_imagenet import convert


def main(argv: Sequence[str] | None = None) -> None:
    """Convert what the command line names.

    Args:
        argv: the arguments; those of the process by default.

    Raises:
        SystemExit: the conversion failed; the message says why.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', help='tiny-imagenet-200.zip, or the folder that it holds')
    parser.add_argument(
        '--out-dir',
        default='data/tiny_imagenet',
        help='folder for the lists (default: %(default)s)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='threads that decode images (default: one a core)',
    )
    args = parser.parse_args(argv)
    try:
        convert(args.source, args.out_dir, args.workers, verbose=True)
    except (OSError, ValueError) as error:
        raise SystemExit(f'{parser.prog}: error: {error}') from None


if __name__ == '__main__':
    main()
