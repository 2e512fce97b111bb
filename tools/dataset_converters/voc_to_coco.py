"""Write COCO files for boxes in Pascal VOC's XML files.

Example:
    python tools/dataset_converters/voc_to_coco.py VOC2007/Annotations VOC2007/JPEGImages \
        --lists VOC2007/ImageSets/Main/train.txt VOC2007/ImageSets/Main/val.txt \
        --out-dir VOC2007/coco
"""

from collections.abc import Sequence
from pathlib import Path

from mmrsir.datasets.converters.command_line import new_coco_parser, write_coco
from mmrsir.datasets.converters.voc import read_voc
from mmrsir.utils.errors import plain_errors


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_coco_parser(__doc__)
    parser.add_argument('annotations', type=Path, help='folder of the XML files')
    parser.add_argument('images', type=Path, help='folder of the pictures')
    parser.add_argument(
        '--classes', nargs='+', help='classes in the order of their labels (default: all, sorted)'
    )
    parser.add_argument(
        '--first-pixel',
        type=int,
        choices=(0, 1),
        help='coordinate of the first pixel (default: 0 if a box begins at 0, otherwise 1)',
    )
    parser.add_argument(
        '--any-size',
        action='store_true',
        help='take the sizes of the pictures where the XML files have others',
    )
    args = parser.parse_args(argv)
    found = read_voc(args.annotations, args.images, args.classes, args.first_pixel, args.any_size)
    write_coco(args, *found)


if __name__ == '__main__':
    with plain_errors():
        main()
