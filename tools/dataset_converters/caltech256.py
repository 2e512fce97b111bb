"""Check a copy of Caltech-256 and list its images for training and validation.

python tools/dataset_converters/caltech256.py 256_ObjectCategories.tar
python tools/dataset_converters/caltech256.py data/caltech256/256_ObjectCategories
"""

from collections.abc import Sequence
from pathlib import Path

from mmrsir.datasets.converters.caltech256 import CALTECH256
from mmrsir.datasets.converters.command_line import convert_images
from mmrsir.utils.errors import plain_errors

MANIFEST = Path(__file__).parent / 'splits/caltech256.json'


def main(argv: Sequence[str] | None = None) -> None:
    convert_images(CALTECH256, __doc__, 'data/caltech256', MANIFEST, argv)


if __name__ == '__main__':
    with plain_errors():
        main()
