"""Export a model as ONNX or by torch.export, and check that the file computes what the model does.

Example:
    python tools/deployment/export.py configs/mask_rcnn/rsir_n_shapes.py work_dirs/demo/epoch_8.pth
    python demo/onnx_demo.py work_dirs/exports/demo_epoch_8_detector.onnx photo.jpg
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from mmrsir import replacements
from mmrsir.apis import Predictor
from mmrsir.checkpoints import safe_loading
from mmrsir.checkpoints.reading import check_complete, load_pretrained
from mmrsir.deployment import comparison, export, precision, whole_detector
from mmrsir.deployment.accuracy import Measured, measure
from mmrsir.deployment.detector import Detector
from mmrsir.deployment.parts import PARTS, Part, take_part
from mmrsir.deployment.pictures import config_pictures, prepare
from mmrsir.engine.config_files import run_name
from mmrsir.engine.launch import read_config
from mmrsir.utils.arguments import check_int, parse_size
from mmrsir.utils.errors import InvalidValueError, UserError, plain_errors
from mmrsir.utils.processor import processor_name

FORMATS = {'onnx': '.onnx', 'torch': '.pt2'}
SIZES = ('224x224:1', '256x192:2', '320x480:1')
COMPARED = 8  # pictures of a detector


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of one of ours')
    parser.add_argument('checkpoint', nargs='?', help='weights (default: random ones)')
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='(default: %(default)s)')
    parser.add_argument(
        '--part',
        choices=sorted(set().union(*PARTS.values())),
        help='what is exported (default: the whole model)',
    )
    parser.add_argument(
        '--out', help='file (default: work_dirs/exports/<run>_<checkpoint>_<part>.<format>)'
    )
    parser.add_argument(
        '--sizes',
        nargs='+',
        default=SIZES,
        metavar='HEIGHTxWIDTH:BATCH',
        help='at which results are compared, except those of whole detectors, which are compared '
        f'on {COMPARED} test pictures (default: {" ".join(SIZES)})',
    )
    parser.add_argument(
        '--precision',
        choices=precision.PRECISIONS,
        default='fp32',
        help='fp16 and int8 write a second file, and measure what it loses (default: %(default)s)',
    )
    parser.add_argument(
        '--calibration-images',
        type=int,
        default=32,
        metavar='N',
        help='training pictures from which int8 takes ranges of values (default: %(default)s)',
    )
    parser.add_argument(
        '--test-images',
        type=int,
        default=200,
        metavar='N',
        help='on which the loss of fp16 or int8 is measured (default: %(default)s)',
    )
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()
    for name in ('calibration_images', 'test_images'):
        check_int(f'--{name.replace("_", "-")}', getattr(args, name), minimum=1)
    args.sizes = [(text, parse_size(text)) for text in args.sizes]
    args.cfg = read_config(args.config, None)  # the predictor's has no data
    return args


def main() -> None:
    replacements.enable()
    args = read_arguments()
    predictor = load(args.config, args.checkpoint, args.part)
    scope = predictor.cfg.default_scope
    args.part = args.part or next(iter(PARTS[scope]))
    part = take_part(predictor.model, scope, args.part)
    if args.part == 'detector':
        whole_detector.preprocessing_of(predictor.cfg, predictor.model)
    if args.precision != 'fp32':
        check_precision(args)
    if args.part in ('detector', 'proposals') and args.format == 'torch':
        raise InvalidValueError(
            f'--format=torch cannot export --part={args.part}: use --format onnx'
        )

    out_file = output_file(args)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    args.reduced = out_file.with_name(f'{out_file.stem}_{args.precision}.onnx')
    test_cfg = getattr(predictor.model, 'test_cfg', None) or {}
    if args.part == 'segmentor' and test_cfg.get('mode') == 'slide':
        print(
            'test_cfg.mode=slide: in tests this model slides a window of '
            f'{test_cfg["crop_size"]} pixels over an image; the export takes an image as a whole'
        )
    print(f'exporting the {args.part}: a minute or so')
    if isinstance(part, Detector):
        agrees = export_detector(part, predictor, out_file, args)
    else:
        agrees = export_part(part, predictor, out_file, args)
    if not agrees:
        raise UserError(
            'the file and the model differ by more than rounding: see docs/questions.md#onnx'
        )
    if args.precision != 'fp32':
        report_loss(predictor, out_file, args)


def output_file(args: argparse.Namespace) -> Path:
    name = f'{run_name(args.config, args.checkpoint)}_{args.part}'
    path, suffix = Path(args.out or f'work_dirs/exports/{name}'), FORMATS[args.format]
    return path.with_name(path.name.removesuffix(suffix) + suffix)


def load(config: str, checkpoint: str | None, part: str | None) -> Predictor:
    """Load a model; for its backbone alone, the checkpoint needs no weights of a head."""
    if part != 'backbone' or checkpoint is None:
        return Predictor(config, checkpoint, device='cpu')
    predictor = Predictor(config, checkpoint, device='cpu', min_matched=0)
    backbone = predictor.model.backbone
    check_complete(load_pretrained(backbone, checkpoint), backbone, checkpoint)
    return predictor


def check_precision(args: argparse.Namespace) -> None:
    """Refuse what cannot be converted or measured, before minutes have passed."""
    if args.format != 'onnx' or args.part in ('backbone', 'proposals'):
        raise InvalidValueError(
            f'--precision={args.precision} needs a whole model and --format onnx'
        )
    for split in ('test', *['train'] * (args.precision == 'int8')):
        next(config_pictures(args.cfg, split, 1))


def export_part(part: Part, predictor: Predictor, out_file: Path, args: argparse.Namespace) -> bool:
    """Export what takes normalized images; return whether it agrees with the model."""
    if args.format == 'onnx':
        export.export_onnx(part, out_file, export.describe(predictor, args.part))
        loaded = export.load_onnx(out_file)
    else:
        export.export_torch(part, out_file)
        loaded = export.load_torch(out_file)
    print(f'wrote {out_file}; largest difference from what the model predicts:')
    comparisons = []
    for text, size in args.sizes:
        comparisons.append(one := comparison.compare_outputs(part, loaded, size))
        line = f'  {text:14} {one.difference:.1e}'
        if one.own is not None:
            line += f'  (torch from itself where pixels change by a millionth: {one.own:.1e})'
        print(line)
    agrees = comparison.agree(comparisons)
    if agrees and args.precision != 'fp32':
        convert(out_file, args.reduced, predictor, args)
    return agrees


def export_detector(
    part: Detector, predictor: Predictor, out_file: Path, args: argparse.Namespace
) -> bool:
    """Export a whole detector; return whether it finds what the model does."""
    metadata = export.describe(predictor, args.part)
    preprocessing = whole_detector.preprocessing_of(predictor.cfg, predictor.model)
    with tempfile.TemporaryDirectory() as folder:
        core = Path(folder, 'core.onnx')
        whole_detector.export_core(part, core)
        whole_detector.wrap_core(core, out_file, part, preprocessing, metadata)
        print(f'wrote {out_file}')
        agrees = compare_pictures(part, predictor, out_file, args)
        if agrees and args.precision != 'fp32':
            small = Path(folder, 'small.onnx')
            convert(core, small, predictor, args)
            whole_detector.wrap_core(small, args.reduced, part, preprocessing, metadata)
    return agrees


def convert(path: Path, out_file: Path, predictor: Predictor, args: argparse.Namespace) -> None:
    feeds = (
        {name: value.numpy() for name, value in prepare(predictor, picture).items()}
        for picture in config_pictures(args.cfg, 'train', args.calibration_images)
    )
    precision.convert(path, out_file, args.precision, feeds)


def compare_pictures(
    part: Detector, predictor: Predictor, out_file: Path, args: argparse.Namespace
) -> bool:
    """Print what torch and the file find in the same pictures; return whether they agree."""
    try:
        pictures = list(config_pictures(args.cfg, 'test', COMPARED))
        print(f'objects that torch finds in {len(pictures)} test pictures, and the difference:')
    except (OSError, ValueError) as error:
        print(f'no test pictures ({error}): compared on noise')
        generator = np.random.default_rng(0)
        pictures = [
            generator.integers(0, 256, (height, width, 3), np.uint8)
            for _, (height, width, _) in args.sizes
        ]
    loaded = whole_detector.load_detector(out_file)
    compared = comparison.compare_objects(part, predictor, loaded, pictures)
    for one, excused in compared:
        line = f'  {one.number:3} objects, {one.alone} without a partner; boxes {one.boxes:.0e} '
        line += f'pixels, scores {one.scores:.0e}, pixels of masks {one.pixels:.2%}'
        print(line + '  (torch differs from itself, too)' * excused)
    if not any(one.number for one, _ in compared):
        print('nothing was found, hence nothing compared: give the tool a trained checkpoint')
    return all(one.is_small or excused for one, excused in compared) and any(
        one.is_small for one, _ in compared
    )


def report_loss(predictor: Predictor, out_file: Path, args: argparse.Namespace) -> None:
    """Print and keep what a file in another precision loses and gains."""
    print(f'wrote {args.reduced}; testing both')
    files = {'fp32': out_file, args.precision: args.reduced}
    found = {
        name: measure(predictor, args.cfg, path, args.test_images) for name, path in files.items()
    }
    machine = f'{processor_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}'
    print(f'on {machine}, {found["fp32"].images} test images:')
    print('\n'.join(loss_lines(found, files)))
    kept = args.reduced.with_suffix('.json')
    content = {name: one._asdict() for name, one in found.items()}
    kept.write_text(json.dumps(dict(content, machine=machine), indent=1))
    print(f'kept in {kept}')


def loss_lines(found: dict[str, Measured], files: dict[str, Path]) -> list[str]:
    """Return a table of two files: accuracies, time, size."""
    names = list(found)
    rows = [('', *names, 'change')]
    for figure, before in found[names[0]].figures.items():
        after = found[names[1]].figures[figure]
        rows.append((figure, f'{before:.4g}', f'{after:.4g}', f'{after - before:+.3g}'))
    times = [found[name].milliseconds for name in names]
    rows.append(('ms an image', *(f'{one:.0f}' for one in times), f'x {times[1] / times[0]:.2f}'))
    sizes = [files[name].stat().st_size / 1e6 for name in names]
    rows.append(('MB', *(f'{one:.1f}' for one in sizes), f'x {sizes[1] / sizes[0]:.2f}'))
    return [f'  {row[0]:16}' + ''.join(f'{cell:>10}' for cell in row[1:]) for row in rows]


if __name__ == '__main__':
    with plain_errors():
        main()
