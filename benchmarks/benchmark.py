"""Time models in turn in one process: RSIR, Algorithm 1 as written, timm, mmdet, any config.

Example:
    python benchmarks/benchmark.py rsir_tiny literal timm:swin_tiny_patch4_window7_224 \\
        --sizes 224:4 1024:1
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from rich.console import Console
from speed import subjects
from speed.cases import PRECISIONS, STEPS, Case
from speed.environment import describe_environment
from speed.loading import measure_loading, render_loading
from speed.results import Results
from speed.runs import MODES, ONNX, run_case
from speed.timings_chart import plot_timings
from speed.timings_table import LEGEND, describe_machine, render_case, render_scaling

from mmrsir.utils.arguments import check_choice, check_int, parse_size, pick_device
from mmrsir.utils.errors import InvalidValueError, plain_errors

MODELS = (
    'rsir_tiny',
    'literal',
    'timm:swin_tiny_patch4_window7_224',
    'mmdet:SwinTransformer',
    'timm:maxvit_tiny_tf_224',
)
SIZES = ('224:4', '1024:1')
SCALING_SIZES = ('224:1', '448:1', '896:1', '1344:1', '1792:1')
WIDTH = 120  # of the table where the output is no terminal


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=subjects.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'models',
        nargs='*',
        default=MODELS,
        help=f'names as below (default: {" ".join(MODELS)})',
    )
    parser.add_argument(
        '--baseline', help='model that the others are compared with (default: the first)'
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        '--sizes',
        nargs='+',
        default=SIZES,
        metavar='SIZE:BATCH',
        help='side of the images, or HEIGHTxWIDTH, and their number, as in 224:4 800x1280:1 '
        f'(default: {" ".join(SIZES)})',
    )
    sizes.add_argument(
        '--scaling',
        dest='sizes',
        action='store_const',
        const=SCALING_SIZES,
        help=f'short for --sizes {" ".join(SCALING_SIZES)}; with three sizes or more the growth '
        'of time with tokens is fitted',
    )
    parser.add_argument(
        '--loading',
        metavar='CONFIG',
        help='time nothing but the training pipeline of a config, on its own images, beside a '
        'step of its model: says how many workers the training needs',
    )
    parser.add_argument('--steps', nargs='+', choices=STEPS, default=STEPS, help='(default: both)')
    parser.add_argument(
        '--modes',
        nargs='+',
        choices=MODES,
        default=['eager'],
        help='compiled: by torch.compile as it is by default; the next two: by its modes of these '
        'names. The first round of these takes minutes. onnxruntime: exported for the image size; '
        'forward passes in fp32 on the CPU only (default: eager)',
    )
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='fp32',
        help='bf16 and fp16 convert the weights, amp-bf16 and amp-fp16 compute under autocast, '
        'as OpenMMLab trains (default: fp32)',
    )
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: cuda if there is one)')
    parser.add_argument('--threads', type=int, help="threads of the CPU (default: torch's)")
    parser.add_argument('--repeats', type=int, default=9, help='rounds that count (default: 9)')
    parser.add_argument('--warmup', type=int, default=3, help='rounds before them (default: 3)')
    parser.add_argument(
        '--out',
        type=Path,
        help='JSON file; the picture stands beside it (default: work_dirs/benchmark/<time>.json)',
    )
    return parser


def read_arguments(args: argparse.Namespace) -> tuple[list[Case], torch.device]:
    """Check the command line and fill in what it leaves open."""
    for model in args.models:
        subjects.check_name(model)
    args.baseline = args.baseline or args.models[0]
    check_choice('--baseline', args.baseline, args.models)
    check_int('--repeats', args.repeats, minimum=1)
    check_int('--warmup', args.warmup, minimum=1)
    if args.threads is not None:
        check_int('--threads', args.threads, minimum=1)
    name = pick_device(args.device)
    if ONNX in args.modes and (list(args.steps), args.precision, name) != (
        ['forward'],
        'fp32',
        'cpu',
    ):
        raise InvalidValueError(
            f'--modes {ONNX} needs --steps forward --precision fp32 --device cpu; got '
            f'--steps {" ".join(args.steps)} --precision {args.precision} --device {name}'
        )
    sizes = [parse_size(size) for size in args.sizes]
    cases = [Case(step, *size, args.precision, name) for step in args.steps for size in sizes]
    return cases, torch.device(name)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argument_parser()
    args = parser.parse_args(argv)
    MMLogger.get_instance('mmengine', log_level='ERROR')  # its notes would stand in the table
    cases, device = read_arguments(args)

    os.environ.setdefault('KINETO_LOG_LEVEL', '5')  # the profiler would report a missing GPU
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    if device.type == 'cuda':
        torch.cuda.set_device(device.index or 0)
        torch.backends.cudnn.benchmark = True
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if args.loading:
        loading = measure_loading(args.loading, args.precision, device, args.warmup, args.repeats)
        console.print(render_loading(loading))
        return
    begun = datetime.now().astimezone()
    out = args.out or Path(f'work_dirs/benchmark/{begun:%Y%m%d_%H%M%S}.json')
    results = Results(
        baseline=args.baseline,
        command=shlex.join(['benchmark.py', *(sys.argv[1:] if argv is None else argv)]),
        date=begun.isoformat(timespec='seconds'),
        environment=describe_environment(device),
    )
    console.print(describe_machine(results), highlight=False)
    for case in cases:
        results.rows += run_case(case, args.models, args.modes, args.warmup, args.repeats)
        results.write(out)  # after each case, as a later one may end the process
        console.print(render_case(results, case))
    picture = out.with_suffix('.png')
    plot_timings(results, picture)
    console.print(LEGEND, highlight=False)
    if scaling := results.scaling():
        console.print(render_scaling(scaling))
    console.print(f'wrote {out} and {picture}', soft_wrap=True, highlight=False)


if __name__ == '__main__':
    with plain_errors():
        main()
