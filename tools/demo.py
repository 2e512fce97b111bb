"""The main job in small: make data, train Mask R-CNN with RSIR, test it, draw what it finds.

Example:
    python tools/demo.py
"""

import argparse
import time
from pathlib import Path

import cpu_settings  # noqa: F401 (before torch)

from mmrsir import replacements
from mmrsir.datasets.shapes.dataset import make_shapes
from mmrsir.engine import launch
from mmrsir.engine.hooks.prediction_pictures import TestPicturesHook
from mmrsir.utils.errors import plain_errors
from mmrsir.visualization.contact_sheet import contact_sheet
from mmrsir.visualization.curves import plot_runs

CONFIG = 'configs/mask_rcnn/rsir_n_shapes.py'
METRICS = {
    'coco/bbox_mAP_50': 'box AP50',
    'coco/segm_mAP_50': 'mask AP50',
    'coco/bbox_mAP': 'box AP',
    'coco/segm_mAP': 'mask AP',
}


def main() -> None:
    replacements.enable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for the results')
    work_dir = Path(parser.parse_args().work_dir)
    start = time.monotonic()

    make_shapes('data/shapes', workers=2)

    command = launch.argument_parser('').parse_args([CONFIG, '--work-dir', str(work_dir)])
    cfg = launch.load_config(command)
    predictions = work_dir / 'predictions'
    runner = launch.build_runner(cfg)
    runner.register_hook(TestPicturesHook(predictions))
    runner.train()
    metrics = runner.test()

    pictures = sorted(predictions.glob('*.jpg'))
    sheet = work_dir / 'detections.png'
    contact_sheet(
        pictures[:12], sheet, columns=3, title='Held-out images: ground truth | detections'
    )
    curves = work_dir / 'curves.png'
    scalars = Path(runner.log_dir) / 'vis_data' / 'scalars.json'
    title = 'Mask R-CNN with RSIR (nano) on generated shapes'
    plot_runs({'': scalars}, curves, title, ['loss', *METRICS])

    minutes = (time.monotonic() - start) / 60
    print(f'\nOn {len(pictures)} held-out images, after {minutes:.1f} minutes:')
    for key, label in METRICS.items():
        print(f'  {label:10} {metrics[key]:.3f}')
    print('Look at:')
    for path in (sheet, curves, predictions):
        print(f'  {path}')


if __name__ == '__main__':
    with plain_errors():
        main()
