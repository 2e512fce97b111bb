"""Train a model of mmdet, mmseg or mmpretrain.

Example:
    python tools/train.py configs/mask_rcnn/rsir_t_1x_coco.py
"""

import cpu_settings  # noqa: F401 (before torch)

from mmrsir import replacements
from mmrsir.checkpoints import safe_loading
from mmrsir.engine import launch
from mmrsir.utils.errors import plain_errors


def main() -> None:
    replacements.enable()
    parser = launch.argument_parser(__doc__.splitlines()[0])
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--amp-dtype',
        choices=['auto', 'float16', 'bfloat16'],
        default='auto',
        help='type for --amp (auto: float16 on a GPU, bfloat16 on the CPU)',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by batch size over the config's base_batch_size",
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a path, from the newest intact one in the work '
        'folder, and begin where it has none',
    )
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()

    cfg = launch.load_config(args)
    if args.amp:
        launch.enable_amp(cfg, args.amp_dtype)
    if args.auto_scale_lr:
        launch.enable_auto_scale_lr(cfg)
    if args.resume is None and cfg.get('resume'):
        args.resume = cfg.get('load_from') or 'auto'
    if args.resume is not None:
        launch.enable_resume(cfg, args.resume)
    launch.build_runner(cfg).train()


if __name__ == '__main__':
    with plain_errors():
        main()
