"""Make a training checkpoint of mmdet, mmseg or mmpretrain into files to publish.

Example:
    python tools/model_converters/publish_model.py work_dirs/rsir_t_1x_coco/epoch_12.pth \
        weights/rsir_t_1x_coco
"""

import argparse

from mmrsir.checkpoints import safe_loading
from mmrsir.checkpoints.publishing import publish
from mmrsir.utils.errors import plain_errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('in_file', help='checkpoint of a training')
    parser.add_argument(
        'out_file',
        help='folder and name of the published files, which get the first 8 digits of their '
        'SHA-256 and a suffix: NAME-1a2b3c4d.pth, NAME-5e6f7a8b.safetensors',
    )
    parser.add_argument(
        '--backbone-only',
        action='store_true',
        help="keep the backbone's weights alone, for init_cfg of other models",
    )
    parser.add_argument(
        '--half', action='store_true', help='round the weights to half precision: half the size'
    )
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()
    published = publish(args.in_file, args.out_file, args.backbone_only, args.half)

    for what in published.removed:
        print(f'removed {what}')
    for path in published.files:
        print(f'{path}: {path.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    with plain_errors():
        main()
