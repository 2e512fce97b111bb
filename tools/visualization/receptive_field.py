"""Draw which pixels the middle of a feature map depends on, after each block, of several models.

Example:
    python tools/visualization/receptive_field.py photo.jpg \
        configs/cls/ablation/rsir_in1k.py configs/cls/ablation/shifted_window_in1k.py
"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmrsir import replacements
from mmrsir.checkpoints import safe_loading
from mmrsir.engine import launch
from mmrsir.engine.config_files import run_name
from mmrsir.utils.errors import InvalidValueError, plain_errors
from mmrsir.utils.progress import show_progress
from mmrsir.visualization.backbone import build_backbone, normalize, read_picture
from mmrsir.visualization.receptive_field import Field, draw_fields, receptive_fields


def main() -> None:
    replacements.enable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('picture', help='picture file')
    parser.add_argument(
        'models',
        nargs='+',
        metavar='CONFIG[=CHECKPOINT]',
        help='config with a backbone of mmrsir, or the name of one of ours, and its weights '
        '(default: random ones)',
    )
    parser.add_argument(
        '--max-size',
        type=int,
        default=224,
        help='pixels of the longer side; larger pictures are shrunk (default: %(default)s)',
    )
    parser.add_argument(
        '--out', help='picture (default: work_dirs/receptive_field/<picture>_<models>.png)'
    )
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()
    MMLogger.get_instance('mmengine', log_level='WARNING')  # it lists every parameter otherwise

    fields: dict[str, list[Field]] = {}
    picture = read_picture(args.picture, args.max_size)
    for model in args.models:
        config, _, checkpoint = model.partition('=')
        cfg = launch.read_config(config, None)
        backbone = build_backbone(cfg, checkpoint or None)
        weights = run_name(config, checkpoint) if checkpoint else 'random weights'
        name = f'{run_name(config)}\n{weights}'
        if name in fields:
            raise InvalidValueError(f'two models have the name {" ".join(name.split())}')
        of_blocks = receptive_fields(backbone, normalize(picture, cfg))
        fields[name] = list(show_progress(of_blocks, Path(config).stem, sum(backbone.depths)))

    names = '_'.join([Path(args.picture).stem, *('_'.join(name.split()) for name in fields)])
    out = Path(args.out or f'work_dirs/receptive_field/{names[:100]}.png')
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_fields(fields, out)
    for name, of_model in fields.items():
        last = of_model[-1]
        print(f'{", ".join(name.splitlines())}: {last.area:.1%} of the pixels after {last.title}')
    print(f'wrote {out}')


if __name__ == '__main__':
    with plain_errors():
        main()
