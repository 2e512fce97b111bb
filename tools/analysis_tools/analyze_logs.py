"""Draw the curves of one training or several, and print what they reached.

Example:
    python tools/analysis_tools/analyze_logs.py work_dirs/rsir_t_1x_coco work_dirs/swin_t_1x_coco
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mmrsir.utils.errors import plain_errors
from mmrsir.visualization.curves import (
    LABELS,
    METRICS,
    RunLog,
    log_files,
    main_metrics,
    plot_runs,
    read_log,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='work folder of a training, the folder of one start of it, or its scalars.json',
    )
    parser.add_argument(
        '--keys',
        nargs='+',
        help='values to draw, as loss_cls or coco/bbox_mAP_75 (default: loss, learning rate and '
        'main metrics)',
    )
    parser.add_argument('--title', default='', help='heading of the picture')
    parser.add_argument(
        '--out',
        type=Path,
        help='picture (default: work_dirs/curves/<names of the runs>.png)',
    )
    args = parser.parse_args()

    runs = {run.rstrip('/'): run for run in args.runs}
    names = '_'.join(Path(run).resolve().name.removesuffix('.json') for run in runs)
    out = args.out or Path(f'work_dirs/curves/{names[:100]}.png')
    out.parent.mkdir(parents=True, exist_ok=True)
    plot_runs(runs, out, args.title, args.keys)
    Console().print(summary({name: read_log(log_files(run)) for name, run in runs.items()}))
    print(f'wrote {out}')


def summary(logs: dict[str, RunLog]) -> Table:
    metrics = list(dict.fromkeys(key for log in logs.values() for key in main_metrics(log)))
    table = Table()
    table.add_column('training', overflow='fold')
    for heading in ('iterations', 'last loss', 's an iteration'):
        table.add_column(heading, justify='right')
    for key in metrics:
        best = ' (best)' if key in METRICS else ''
        table.add_column(f'{LABELS.get(key, key)}{best}', justify='right')
    for name, log in logs.items():
        curves = log.curves()
        iterations, losses = curves.get('loss', ([], []))
        times = sorted(curves.get('time', ([], []))[1])
        cells = [
            str(iterations[-1]) if iterations else '-',
            f'{losses[-1]:.4g}' if losses else '-',
            f'{times[len(times) // 2]:.3f}' if times else '-',
        ]
        for key in metrics:
            values = curves.get(key, ([], []))[1]
            best = f' ({max(values):.4g})' if values and key in METRICS else ''
            cells.append(f'{values[-1]:.4g}{best}' if values else '-')
        table.add_row(name, *cells)
    return table


if __name__ == '__main__':
    with plain_errors():
        main()
