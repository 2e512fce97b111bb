"""Draw what a training sees: images as they leave the pipeline, with their annotations.

Example:
    python tools/visualization/browse_dataset.py configs/mask_rcnn/rsir_t_1x_coco.py
"""

import argparse
from pathlib import Path

from mmrsir import replacements
from mmrsir.engine import launch
from mmrsir.engine.config_files import run_name
from mmrsir.utils.errors import plain_errors
from mmrsir.utils.progress import show_progress
from mmrsir.visualization.contact_sheet import contact_sheet
from mmrsir.visualization.dataset import draw_training_images


def main() -> None:
    replacements.enable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    launch.add_config_arguments(parser)
    parser.add_argument('--number', type=int, default=16, help='of images (default: %(default)s)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of random changes (default: %(default)s)'
    )
    parser.add_argument(
        '--out-dir',
        type=Path,
        help='folder for the pictures (default: work_dirs/dataset/<config>)',
    )
    args = parser.parse_args()

    out_dir = args.out_dir or Path('work_dirs/dataset', run_name(args.config))
    sheet = out_dir / 'sheet.png'
    cfg = launch.read_config(args.config, args.cfg_options)
    drawn = draw_training_images(cfg, args.number, out_dir, args.seed)
    pictures = list(show_progress(drawn, 'Drawing', args.number))
    contact_sheet(
        pictures,
        sheet,
        columns=4,
        title=f'{Path(args.config).stem}: what a training sees',
        captions=[picture.stem for picture in pictures],
    )
    print(f'wrote {len(pictures)} pictures to {out_dir}; all on one sheet: {sheet}')


if __name__ == '__main__':
    with plain_errors():
        main()
