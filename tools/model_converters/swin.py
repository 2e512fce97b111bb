"""Make weights of a Swin Transformer into a start for PyramidTransformer with Swin's shape.

Weights of Swin's repository, timm, mmdet, mmseg and mmpretrain are read. With shifted windows the
outputs stay the same; RSIR's windows take all but the bias of positions.

Example:
    python tools/model_converters/swin.py swin_tiny_patch4_window7_224.pth weights/swin_t.pth
    python tools/train.py configs/mask_rcnn/ablation/rsir_1x_coco.py --cfg-options \
        model.backbone.init_cfg.checkpoint=weights/swin_t.pth
"""

import argparse

from mmrsir.checkpoints import safe_loading
from mmrsir.checkpoints.swin import convert_file
from mmrsir.utils.errors import plain_errors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('in_file', help='checkpoint of a Swin Transformer')
    parser.add_argument('out_file', help='file to write: .pth or .safetensors')
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()
    conversion = convert_file(args.in_file, args.out_file)
    settings = ', '.join(f'{key}={value}' for key, value in conversion.arch.items())
    print(f'{args.out_file}: {len(conversion.weights)} tensors; left out: ', end='')
    print(f'{", ".join(conversion.left_out) or "nothing"}')
    print(f"arch=dict({settings}), downsampling='linear', position=None,")
    print(f'window_size={conversion.window_size}')


if __name__ == '__main__':
    with plain_errors():
        main()
