"""Make the synthetic data set of shapes, in COCO, ADE20K and ImageNet layout at once.

python tools/dataset_converters/make_shapes.py --out-dir data/shapes
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from mmrsir.datasets.shapes.dataset import make_shapes


def _available_cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        One attribute for each argument of `make_shapes`.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--out-dir', default='data/shapes', help='folder to make it in')
    parser.add_argument('--num-train', type=int, default=320, help='training pictures')
    parser.add_argument('--num-val', type=int, default=64, help='validation pictures')
    parser.add_argument('--image-size', type=int, default=256, help='their side in pixels')
    parser.add_argument(
        '--num-cls-train', type=int, default=200, help='classification: training pictures per class'
    )
    parser.add_argument(
        '--num-cls-val', type=int, default=40, help='classification: validation pictures per class'
    )
    parser.add_argument(
        '--cls-image-size', type=int, default=96, help='classification: side in pixels'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of every random choice')
    parser.add_argument(
        '--workers',
        type=int,
        default=_available_cores(),
        help='threads; the result does not depend on it',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='make it again even if it is there, and write among files of others',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Make the data set that the command line asks for.

    Args:
        argv: the arguments; those of the process by default.

    Raises:
        SystemExit: an argument is out of its range, or the folder is taken; the message says which.
    """
    args = parse_args(argv)
    try:
        make_shapes(**vars(args), verbose=True)
    except (ValueError, FileExistsError, NotADirectoryError) as error:
        raise SystemExit(f'make_shapes.py: error: {error}') from None


if __name__ == '__main__':
    main()
