"""Print the paper's Tables 2 to 7 beside what is counted, timed and reached here.

Example:
    python benchmarks/paper_report.py --table 3
"""

import argparse
from datetime import date
from pathlib import Path

import torch
from documents import TABLES, with_tables
from mmengine.logging import MMLogger
from paper.rows import EXPERIMENTS, PaperRow, count, read_notes, read_rows
from paper.tables import render
from paper.throughput import RECORDED, Throughput, measure, record
from speed.cases import PRECISIONS
from speed.environment import describe_device, describe_environment

from mmrsir.utils.arguments import check_int
from mmrsir.utils.errors import InvalidValueError, UserError, plain_errors
from mmrsir.utils.progress import show_progress

ROOT = Path(__file__).resolve().parents[1]


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--table',
        type=int,
        choices=list(EXPERIMENTS),
        help="one of the paper's tables (default: all of them)",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument('--no-throughput', action='store_true', help='time nothing')
    choice.add_argument('--record', action='store_true', help=f'keep throughput in {RECORDED}')
    choice.add_argument(
        '--update',
        action='store_true',
        help=f'write the tables of {" and ".join(TABLES)} from metafiles and CSV files',
    )
    timing = parser.add_argument_group('throughput')
    timing.add_argument(
        '--batch', type=int, help='images (default: 4 of 224 x 224 pixels, 1 of the larger ones)'
    )
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
    timing.add_argument(
        '--device', choices=devices, default=devices[-1], help='(default: %(default)s)'
    )
    timing.add_argument(
        '--precision', choices=PRECISIONS, default='fp32', help='(default: %(default)s)'
    )
    timing.add_argument(
        '--repeats', type=int, default=5, help='rounds that count (default: %(default)s)'
    )
    timing.add_argument(
        '--warmup', type=int, default=1, help='rounds before them (default: %(default)s)'
    )
    return parser


def main() -> None:
    parser = argument_parser()
    args = parser.parse_args()
    if args.update and args.table is not None:
        raise InvalidValueError('--update writes all tables: not allowed with --table')
    if args.record and args.table is not None and EXPERIMENTS[args.table].reference is None:
        raise InvalidValueError(
            f'Table {args.table} has the networks of Table 2: --record that one'
        )
    for name in ('batch', 'repeats', 'warmup'):
        if (value := getattr(args, name)) is not None:
            check_int(f'--{name}', value, minimum=1)

    MMLogger.get_instance('mmengine', log_level='ERROR')  # its notes would stand in the tables
    if args.update:
        update()
        return
    refused = []
    for table in EXPERIMENTS if args.table is None else [args.table]:
        rows = read_rows(ROOT, table)
        counted = show_progress(rows, f'Table {table}: counting')
        costs = [count(row) for row in counted]
        timed = not args.no_throughput and EXPERIMENTS[table].reference is not None
        throughput = time_all(rows, args) if timed else None
        print(render(rows, costs, read_notes(ROOT, table), throughput), end='\n\n')
        if throughput is not None and args.record:
            try:
                record(ROOT, table, throughput, args.repeats)
            except ValueError as error:
                refused.append(f'Table {table} is not recorded: {error}')
    if refused:
        raise UserError('\n'.join(refused))


def update() -> None:
    for document in TABLES:
        (ROOT / document).write_text(with_tables(document, ROOT))
        print(f'wrote into {document}')


def time_all(rows: list[PaperRow], args: argparse.Namespace) -> Throughput:
    batch = args.batch or EXPERIMENTS[rows[0].table].batch
    known = describe_environment(torch.device(args.device))
    if args.device == 'cuda':
        torch.backends.cudnn.benchmark = True
    speeds = measure(rows, batch, args.precision, args.device, args.warmup, args.repeats)
    return Throughput(
        speeds,
        f'batch {batch}, {args.precision}, median and quartiles of {args.repeats} rounds; '
        f'{describe_device(known)}, torch {known["versions"]["torch"]}, {date.today()}',
    )


if __name__ == '__main__':
    with plain_errors():
        main()
