"""Draw what a place of a picture sees, block by block: windows, attention, importance.

Example:
    python tools/visualization/show_windows.py photo.jpg configs/mask_rcnn/rsir_n_shapes.py \
        --checkpoint work_dirs/demo/epoch_8.pth --point 120 80
"""

import argparse
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from mmrsir import replacements
from mmrsir.checkpoints import safe_loading
from mmrsir.datasets.loading.reading import Reading
from mmrsir.engine import launch
from mmrsir.engine.config_files import run_name
from mmrsir.utils.errors import plain_errors
from mmrsir.visualization.backbone import build_backbone, normalize, read_picture
from mmrsir.visualization.blocks import VIEWS, animate, draw_sheet, place, write_json


def main() -> None:
    replacements.enable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('picture', help='picture file')
    launch.add_config_arguments(parser)
    parser.add_argument('--checkpoint', help='weights (default: random ones)')
    parser.add_argument(
        '--point', type=int, nargs=2, metavar=('X', 'Y'), help='pixel to follow (default: middle)'
    )
    parser.add_argument(
        '--max-size',
        type=int,
        default=448,
        help='pixels of the longer side; larger pictures are shrunk (default: %(default)s)',
    )
    parser.add_argument(
        '--out-dir',
        help='folder for the results (default: work_dirs/windows/<picture>_<config or checkpoint>)',
    )
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()
    MMLogger.get_instance('mmengine', log_level='WARNING')  # it lists every parameter otherwise

    cfg = launch.read_config(args.config, args.cfg_options)
    picture = read_picture(args.picture, args.max_size, Reading.of_config(cfg))
    backbone = build_backbone(cfg, args.checkpoint)
    height, width = picture.shape[:2]
    point = args.point or (width // 2, height // 2)
    with torch.no_grad():
        traces = backbone.trace(normalize(picture, cfg), tuple(point))

    name = f'{Path(args.picture).stem}_{run_name(args.config, args.checkpoint)}'
    out_dir = Path(args.out_dir or f'work_dirs/windows/{name}')
    out_dir.mkdir(parents=True, exist_ok=True)
    drawn = [out_dir / f'{view}.png' for view in VIEWS]
    skipped = []
    for view, out_file in zip(VIEWS, drawn, strict=True):
        try:
            draw_sheet(picture, traces, view, out_file)
        except ValueError as error:
            skipped.append(str(error))
        else:
            print(f'wrote {out_file}: {VIEWS[view].title}')
    animate(picture, traces, out_dir / 'blocks.gif')
    print(f'wrote {out_dir / "blocks.gif"}: block after block')
    write_json(traces, out_dir / 'blocks.json')
    print(f'wrote {out_dir / "blocks.json"}: the numbers of {len(place(traces))} blocks')
    for reason in skipped:
        print(f'left out: {reason}')
    if args.checkpoint is None:
        print(
            'The weights are random: windows of RS-Win are real, importance and attention are not.'
        )


if __name__ == '__main__':
    with plain_errors():
        main()
