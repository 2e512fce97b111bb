"""Write scikit-learn's handwritten digits as an image folder for mmpretrain.

Example:
    python tools/dataset_converters/digits.py --out-dir data/digits
"""

import argparse

from mmrsir.datasets.converters.digits import make_digits
from mmrsir.utils.errors import plain_errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out-dir', default='data/digits', help='folder (default: data/digits)')
    args = parser.parse_args()
    counts = make_digits(args.out_dir)
    print(f'{counts["train"]} + {counts["val"]} pictures in {args.out_dir}')


if __name__ == '__main__':
    with plain_errors():
        main()
