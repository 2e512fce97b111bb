"""Check a copy of the 2018 Data Science Bowl's nuclei and write it as mmdet reads it.

python tools/dataset_converters/dsb2018.py \\
    kaggle-dsbowl-2018-dataset-fixes/stage1_train DSB2018_stage1_test/stage1_test
python tools/dataset_converters/dsb2018.py stage1_train.zip stage1_test.zip \\
    --solution stage1_solution.csv
"""

from collections.abc import Sequence
from pathlib import Path

from mmrsir.datasets.converters.command_line import new_parser
from mmrsir.datasets.converters.dsb2018 import SOLUTION, convert
from mmrsir.utils.errors import plain_errors


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__, 'data/dsb2018')
    parser.add_argument('train', type=Path, help='folder or archive of stage1_train')
    parser.add_argument('test', type=Path, help='folder or archive of stage1_test')
    parser.add_argument(
        '--solution',
        type=Path,
        metavar='FILE',
        help=f'masks of a stage1_test that has none (default: {SOLUTION} beside it)',
    )
    args = parser.parse_args(argv)
    convert(args.train, args.test, args.out_dir, args.solution, args.workers)


if __name__ == '__main__':
    with plain_errors():
        main()
