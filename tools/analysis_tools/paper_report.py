"""Print the paper's figures for the RSIR Transformer beside those of our configs.

Example:
    python tools/analysis_tools/paper_report.py --table 3
"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import track

from mmrsir.analysis import paper

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ('README.md', 'docs/paper.md')


def main() -> None:
    """Parse the command line, measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        '--table',
        type=int,
        choices=list(paper.EXPERIMENTS),
        help="one of the paper's tables (default: all of them)",
    )
    choice.add_argument(
        '--update', action='store_true', help=f'write the table into {" and ".join(DOCUMENTS)}'
    )
    args = parser.parse_args()

    MMLogger.get_instance('mmengine', log_level='ERROR')  # its notes would stand in the table
    rows = paper.read_rows(ROOT, paper.EXPERIMENTS if args.table is None else [args.table])
    console = Console(stderr=True)
    lines = [paper.markdown(row) for row in track(rows, 'Counting', console=console)]
    table = '\n'.join([paper.HEADER, *lines])
    if not args.update:
        print(table)
        return
    for name in DOCUMENTS:
        document = ROOT / name
        document.write_text(paper.replace_table(document.read_text(), table))
        print(f'wrote the table into {name}')


if __name__ == '__main__':
    main()
