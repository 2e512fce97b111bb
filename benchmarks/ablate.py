"""Train RSIR and the other mechanisms of the paper's Table 7 alike on small tasks, and compare.

Finished trainings are kept: the same command goes on where it was stopped.

Example:
    python benchmarks/ablate.py --variants rsir shifted_window --seeds 3
    python benchmarks/ablate.py --config cls/rsir_n_tinyimagenet --variants rsir
    python benchmarks/ablate.py --config cls/rsir_s_tinyimagenet --variants rsir --seeds 1 \\
        --precision bf16 --minutes 8
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ablation.accuracy_chart import plot_accuracies
from ablation.accuracy_table import LEGEND, markdown
from ablation.config_training import PRECISIONS, ConfigSettings, epochs_within
from ablation.recipe import Recipe
from ablation.results import write_csv
from ablation.runs import Training, keep_settings, read_trainings, run_all
from ablation.tasks import TASKS
from ablation.training import Settings
from ablation.variants import CONFIG_VARIANTS, VARIANTS
from rich.console import Console
from rich.progress import Progress

from mmrsir.utils.arguments import check_choice, check_int, pick_device
from mmrsir.utils.errors import InvalidValueError, plain_errors


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/ablation'), help='folder')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--tasks', nargs='+', default=list(TASKS), metavar='TASK')
    kind.add_argument(
        '--config', help='of a classifier: train by it, with all its images on the device'
    )
    parser.add_argument('--variants', nargs='+', metavar='VARIANT', help='(default: all)')
    parser.add_argument('--seeds', type=int, default=3, help='trainings of each (default: 3)')
    parser.add_argument('--side', type=int, default=48, help='of a picture (default: 48 pixels)')
    parser.add_argument(
        '--window-size', type=int, default=7, help='side of a window (default: 7 tokens)'
    )
    parser.add_argument('--pairs', type=int, default=4000, help='to learn from (default: 4000)')
    parser.add_argument('--steps', type=int, default=300, help='of the optimizer (default: 300)')
    parser.add_argument('--batch', type=int, default=64, help='pictures a step (default: 64)')
    parser.add_argument(
        '--draws', type=int, default=8, help='of random windows, averaged (default: 8)'
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--epochs', type=int, help="in place of the config's")
    length.add_argument(
        '--minutes',
        type=float,
        help='for one training: measures the speed first, and takes as many epochs as fit, at '
        "most the config's",
    )
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='fp32',
        help='of trainings by a config; bf16 computes under autocast (default: fp32)',
    )
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: cuda if there is one)')
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings at the same time (default: 1)'
    )
    return parser


def plan(args: argparse.Namespace) -> list[Training]:
    """Check the command line and list its trainings, those of a seed together."""
    for task in args.tasks:
        check_choice('--tasks', task, TASKS)
    known = CONFIG_VARIANTS if args.config else VARIANTS
    for variant in args.variants or ():
        check_choice('--variants', variant, known)
    for name in ('seeds', 'window_size', 'pairs', 'batch', 'draws', 'jobs'):
        check_int(f'--{name.replace("_", "-")}', getattr(args, name), minimum=1)
    if not args.config and (args.epochs or args.minutes or args.precision != 'fp32'):
        raise InvalidValueError('--epochs, --minutes and --precision need --config')
    if args.epochs is not None:
        check_int('--epochs', args.epochs, minimum=2)  # one of them warms up
    check_int('--steps', args.steps, minimum=20)  # a tenth of them warms up
    check_int('--side', args.side, minimum=32)
    return [
        Training(task, variant, seed)
        for seed in range(args.seeds)
        for task in ([Recipe(args.config, args.epochs).name] if args.config else args.tasks)
        for variant in args.variants or known
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argument_parser()
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    settings: Settings | ConfigSettings
    if args.config:
        settings = ConfigSettings(args.config, args.draws, device, args.precision, args.epochs)
    else:
        settings = Settings(
            side=args.side,
            pairs=args.pairs,
            steps=args.steps,
            batch=args.batch,
            draws=args.draws,
            window_size=args.window_size,
            device=device,
        )
    trainings = plan(args)
    if args.minutes is not None and isinstance(settings, ConfigSettings):
        variants = dict.fromkeys(training.variant for training in trainings)
        settings = epochs_within(args.minutes, settings, variants, args.out)
    keep_settings(settings, args.out)

    missing = [training for training in trainings if not training.file(args.out).exists()]
    with Progress(console=Console(stderr=True)) as progress:
        finished = len(trainings) - len(missing)
        bar = progress.add_task('training', total=len(trainings), completed=finished)
        for done in run_all(missing, settings, args.jobs, args.out):
            progress.update(bar, advance=1, description=f'{done.task}, {done.variant}')

    rows = read_trainings(trainings, args.out)
    write_csv(rows, args.out / 'results.csv')
    table = f'{markdown(rows)}\n\n{LEGEND}'
    (args.out / 'table.md').write_text(f'{table}\n')
    plot_accuracies(rows, args.out / 'results.png')
    print(table)
    print(f'wrote results.csv, table.md and results.png to {args.out}')


if __name__ == '__main__':
    with plain_errors():
        main()
