"""Write COCO files for objects in pictures of their masks.

Examples:
    one mask a picture, in which each value is an object (PennFudan):
        python tools/dataset_converters/masks_to_coco.py PennFudanPed/PNGImages \
            'PennFudanPed/PedMasks/{stem}_mask.png' --classes pedestrian --out-dir PennFudanPed/coco
    one mask an object (DSB2018):
        python tools/dataset_converters/masks_to_coco.py 'stage1_train/*/images/*.png' \
            'stage1_train/{stem}/masks/*.png' --classes nucleus --out-dir stage1_train/coco
"""

from collections.abc import Sequence

from mmrsir.datasets.converters.command_line import new_coco_parser, write_coco
from mmrsir.datasets.converters.mask_pictures import VALUES, read_masks
from mmrsir.utils.errors import plain_errors


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_coco_parser(__doc__)
    parser.add_argument('images', help='folder of the pictures, or a pattern of their paths')
    parser.add_argument(
        'masks',
        help='folder of masks with the names of the pictures, or a pattern of their paths: {stem} '
        "is the picture's name without suffix, {class} a class",
    )
    parser.add_argument('--classes', nargs='+', required=True, help='names of the classes')
    parser.add_argument(
        '--values',
        choices=VALUES,
        help='what the values of a mask are: each an object, together the object of the file, or '
        'classes, with each connected region an object (default: files where a picture has several '
        'masks, otherwise objects)',
    )
    args = parser.parse_args(argv)
    write_coco(args, *read_masks(args.images, args.masks, args.classes, args.values))


if __name__ == '__main__':
    with plain_errors():
        main()
