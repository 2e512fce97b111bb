"""Check a copy of the 2018 Data Science Bowl's nuclei and write it as mmdet reads it.

python tools/dataset_converters/dsb2018.py \\
    kaggle-dsbowl-2018-dataset-fixes/stage1_train DSB2018_stage1_test/stage1_test
python tools/dataset_converters/dsb2018.py stage1_train.zip stage1_test.zip \\
    --solution stage1_solution.csv
"""

import argparse
import os
from collections.abc import Sequence

from mmrsir.datasets.converters.dsb2018 import SOLUTION, convert


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
    parser.add_argument('train', help='folder or archive of stage1_train')
    parser.add_argument('test', help='folder or archive of stage1_test')
    parser.add_argument(
        '--solution',
        metavar='FILE',
        help=f'masks of a stage1_test that has none (default: {SOLUTION} beside it)',
    )
    parser.add_argument(
        '--out-dir', default='data/dsb2018', help='folder to write to (default: %(default)s)'
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='threads that decode images (default: one a core)',
    )
    args = parser.parse_args(argv)
    try:
        convert(args.train, args.test, args.out_dir, args.solution, args.workers, verbose=True)
    except (OSError, ValueError) as error:
        raise SystemExit(f'{parser.prog}: error: {error}') from None


if __name__ == '__main__':
    main()
