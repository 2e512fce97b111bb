"""Check the data that a config trains and tests on: decode every image, look at every annotation.

The exit code is 1 where there are errors, 2 where the command is wrong, and 0 otherwise. Warnings,
such as of images without annotations, are no errors.

Example:
    python tools/misc/check_dataset.py configs/mask_rcnn/rsir_t_1x_coco.py --split train
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mmrsir import replacements
from mmrsir.datasets.check.configs import SPLITS, check_config
from mmrsir.datasets.check.faults import ERRORS, WARNINGS
from mmrsir.datasets.check.findings import to_json, to_text
from mmrsir.datasets.check.processes import Inspector
from mmrsir.engine import launch
from mmrsir.utils.arguments import check_int
from mmrsir.utils.errors import plain_errors
from mmrsir.utils.files import write_whole


def argument_parser() -> argparse.ArgumentParser:
    levels = {'errors': ERRORS, 'warnings': WARNINGS}
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='\n'.join(
            f'{level}:\n' + '\n'.join(f'  {kind:18}{kinds[kind]}' for kind in kinds)
            for level, kinds in levels.items()
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    launch.add_config_arguments(parser)
    parser.add_argument(
        '--split', nargs='+', choices=SPLITS, help='what to check (default: all of the config)'
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=len(os.sched_getaffinity(0)),
        help='processes that decode images (default: one a core)',
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all that is found there')
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    replacements.enable()
    parser = argument_parser()
    args = parser.parse_args(argv)
    MMLogger.get_instance('mmengine', log_level='ERROR')  # what mmpretrain says is a fault here too
    check_int('--workers', args.workers, 1)
    cfg = launch.read_config(args.config, args.cfg_options)
    try:
        reports = check_config(cfg, args.split, Inspector(args.workers))
    except KeyboardInterrupt:
        parser.exit(130, f'{parser.prog}: interrupted\n')
    print(to_text(reports))
    if args.json is not None:
        write_whole({args.json: to_json(reports)})
    raise SystemExit(any(report.has_errors for report in reports))


if __name__ == '__main__':
    with plain_errors(status=2):
        main()
