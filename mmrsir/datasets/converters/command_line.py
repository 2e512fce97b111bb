"""What the command lines of the converters have in common."""

import argparse
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from ...utils.errors import InvalidValueError
from ...utils.files import write_whole
from .coco_files import LabelledImage, coco_json, parts_of, summary
from .conversion import ImageSet, convert


def _new_parser(description: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def new_parser(description: str | None, out_dir: str) -> argparse.ArgumentParser:
    parser = _new_parser(description)
    parser.add_argument(
        '--out-dir', type=Path, default=out_dir, help='folder to write to (default: %(default)s)'
    )
    parser.add_argument(
        '--workers',
        type=_positive,
        default=len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        help='threads that decode images (default: one a core)',
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text} must be a whole number, at least 1')
    return int(text)


def convert_images(
    image_set: ImageSet,
    description: str,
    out_dir: str,
    manifest: Path,
    argv: Sequence[str] | None = None,
) -> None:
    """Convert what the command line of a set of images with a published manifest names."""
    parser = new_parser(description, out_dir)
    parser.add_argument(
        'source', type=Path, help=f'archive of {image_set.name}, or a folder that holds its images'
    )
    parser.add_argument(
        '--manifest',
        type=Path,
        default=manifest,
        metavar='FILE',
        help='split by this manifest (default: the published one); if there is no such file, it '
        'is made from your images by the same rule and seed, for another copy or a subset',
    )
    args = parser.parse_args(argv)
    convert(image_set, args.source, args.out_dir, args.manifest, args.workers)


def share(text: str) -> Fraction:
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError from error


def new_coco_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of where COCO files go, and how images are split."""
    parser = _new_parser(description)
    parser.add_argument('--out-dir', type=Path, required=True, help='folder for the JSON files')
    parser.add_argument(
        '--lists',
        nargs='+',
        type=Path,
        default=[],
        metavar='FILE',
        help='files with names of pictures, one a line; each makes a JSON file of its own name',
    )
    parser.add_argument(
        '--val-share',
        type=share,
        default=Fraction(1, 5),
        metavar='SHARE',
        help='without lists: share of the pictures for val.json, 0 for none (default: %(default)s)',
    )
    return parser


def write_coco(
    args: argparse.Namespace,
    images: Sequence[LabelledImage],
    classes: Sequence[str],
    root: Path,
    said: Sequence[str],
) -> None:
    """Write COCO files of images below a root, and say what was done."""
    if not any(image.objects for image in images):
        raise InvalidValueError(
            f'the {len(images)} pictures of {root} have no object, so there is '
            'nothing to learn. Name the folder with their annotations'
        )
    parts = parts_of(images, args.lists, args.val_share)
    write_whole(
        {args.out_dir / f'{part}.json': coco_json(parts[part], classes, root) for part in parts}
    )
    print('\n'.join([*said, summary(parts, classes, root, args.out_dir)]))
