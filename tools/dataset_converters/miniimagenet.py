"""Check a copy of Mini-ImageNet and list its images for training and validation.

python tools/dataset_converters/miniimagenet.py mini-imagenet.zip
python tools/dataset_converters/miniimagenet.py data/miniimagenet/images
"""

from collections.abc import Sequence
from pathlib import Path

from mmrsir.datasets.converters.command_line import convert_images
from mmrsir.datasets.converters.miniimagenet import MINIIMAGENET
from mmrsir.utils.errors import plain_errors

MANIFEST = Path(__file__).parent / 'splits/miniimagenet.json'


def main(argv: Sequence[str] | None = None) -> None:
    convert_images(MINIIMAGENET, __doc__, 'data/miniimagenet', MANIFEST, argv)


if __name__ == '__main__':
    with plain_errors():
        main()
