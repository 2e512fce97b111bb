"""Test a model of mmdet, mmseg or mmpretrain: AP, mIoU or accuracy.

Example:
    python tools/test.py configs/mask_rcnn/rsir_t_1x_coco.py work_dirs/rsir_t_1x_coco/epoch_12.pth
"""

import cpu_settings  # noqa: F401 (before torch)

from mmrsir import replacements
from mmrsir.checkpoints import safe_loading
from mmrsir.engine import launch, scopes
from mmrsir.engine.hooks.prediction_pictures import TestPicturesHook
from mmrsir.utils.arguments import check_int
from mmrsir.utils.errors import plain_errors
from mmrsir.utils.missing import check_file


def main() -> None:
    replacements.enable()
    parser = launch.argument_parser(__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', help='keep predictions: a .pkl file (mmdet, mmpretrain) or a folder (mmseg)'
    )
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for pictures of predictions')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds that a window stays (default: 2)'
    )
    views = parser.add_mutually_exclusive_group()
    views.add_argument('--tta', action='store_true', help='test-time augmentation')
    views.add_argument(
        '--draws', type=int, metavar='K', help='the mean of K draws of the random windows'
    )
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()

    if args.draws is not None:
        check_int('--draws', args.draws, minimum=1)
    check_file('checkpoint', args.checkpoint)
    cfg = launch.load_config(args)
    scopes.complete_test(cfg)
    cfg.load_from = args.checkpoint
    if args.show:
        scopes.enable_windows(cfg, args.wait_time)
    if args.tta:
        scopes.enable_tta(cfg)
    if args.draws is not None:
        scopes.enable_random_draws(cfg, args.draws)
    runner = launch.build_runner(cfg, splits=('test',))
    if args.out is not None:
        scopes.save_predictions(cfg, runner, args.out)
    if args.show_dir is not None:
        drawing = cfg.get('default_hooks', {}).get('visualization', {})
        runner.register_hook(TestPicturesHook(args.show_dir, drawing.get('score_thr', 0.3)))
    runner.test()


if __name__ == '__main__':
    with plain_errors():
        main()
