"""Export a model as ONNX or by torch.export, and check at several sizes that it computes the same.

Example:
    python tools/deployment/export.py configs/upernet/rsir_n_shapes.py work_dirs/…/iter_800.pth
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mmrsir import safe_loading
from mmrsir.analysis.benchmark.cases import parse_size
from mmrsir.apis import Predictor
from mmrsir.deployment import export
from mmrsir.deployment.subjects import PARTS, WHOLE, take_part

FORMATS = {'onnx': '.onnx', 'torch': '.pt2'}
SIZES = ('224x224:1', '256x192:2', '320x480:1')


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of one of ours')
    parser.add_argument('checkpoint', nargs='?', help='weights (default: random ones)')
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='(default: %(default)s)')
    parser.add_argument(
        '--part',
        choices=PARTS,
        help='what is exported (default: the classifier, the segmentor, or of a detector what '
        'comes before the suppression of boxes, its proposals)',
    )
    parser.add_argument('--out', help='file (default: work_dirs/exports/<config>_<part>.<format>)')
    parser.add_argument(
        '--sizes',
        nargs='+',
        default=SIZES,
        metavar='HEIGHTxWIDTH:BATCH',
        help=f'at which results are compared (default: {" ".join(SIZES)})',
    )
    safe_loading.add_unsafe_flag(parser)
    return parser


def main() -> None:
    """Parse the command line, export and compare."""
    parser = argument_parser()
    args = parser.parse_args()
    try:
        sizes = [parse_size(size) for size in args.sizes]
        predictor = Predictor(args.config, args.checkpoint, device='cpu')
        scope = predictor.cfg.default_scope
        module = take_part(predictor.model, scope, args.part)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    part = args.part or WHOLE[scope]
    if part == 'proposals' and args.format == 'torch':
        parser.error("torch.export holds for odd or for even sizes of mmdet's pyramid: take onnx")
    out_file = Path(args.out or f'work_dirs/exports/{Path(args.config).stem}_{part}')
    out_file = out_file.with_name(
        out_file.name.removesuffix(FORMATS[args.format]) + FORMATS[args.format]
    )
    out_file.parent.mkdir(parents=True, exist_ok=True)
    test_cfg = getattr(predictor.model, 'test_cfg', None) or {}
    if part == 'segmentor' and test_cfg.get('mode') == 'slide':
        print(
            'test_cfg.mode=slide: in tests this model slides a window of '
            f'{test_cfg["crop_size"]} pixels over an image; the export takes an image as a whole'
        )
    print(f'exporting the {part}: a minute or so')
    if args.format == 'onnx':
        export.export_onnx(module, out_file, describe(predictor))
        loaded = export.load_onnx(out_file)
    else:
        export.export_torch(module, out_file)
        loaded = export.load_torch(out_file)

    print(f'wrote {out_file}; largest difference from what the model predicts:')
    comparisons = []
    for text, size in zip(args.sizes, sizes, strict=True):
        comparisons.append(one := export.compare(module, loaded, size))
        line = f'  {text:14} {one.difference:.1e}'
        if one.own is not None:
            line += f'  (torch from itself where pixels change by a millionth: {one.own:.1e})'
        print(line)
    if not export.agree(comparisons):
        sys.exit(
            f'the results differ by more than {export.TOLERANCE}, at all sizes or by more than '
            'twice what torch differs from itself (docs/questions.md)'
        )


def describe(predictor: Predictor) -> dict[str, str]:
    """Return what an ONNX file tells about itself: how images are normalized, and the classes."""
    settings = predictor.model.data_preprocessor
    # mmpretrain's has a name of its own for it.
    to_rgb = getattr(settings, 'to_rgb', None) or getattr(settings, '_channel_conversion', False)
    described: dict[str, Any] = dict(
        channels='RGB' if to_rgb else 'BGR', classes=list(predictor.classes)
    )
    for name in ('mean', 'std'):
        if hasattr(settings, name):  # else the model takes pixels as they are
            described[name] = getattr(settings, name).flatten().tolist()
    return {key: json.dumps(value) for key, value in described.items()}


if __name__ == '__main__':
    main()
