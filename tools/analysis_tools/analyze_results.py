"""Where a model errs: confusion matrix, a table of the classes, and pictures of its worst images.

Example:
    python tools/analysis_tools/analyze_results.py configs/mask_rcnn/rsir_n_shapes.py \
        work_dirs/demo/epoch_8.pth
"""

import argparse
import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mmrsir import replacements
from mmrsir.analysis.errors.confusion_chart import plot_confusion
from mmrsir.analysis.errors.hook import Rated, ResultsHook
from mmrsir.analysis.errors.tasks import NO_OBJECT, SCORE_THR, TASKS, Row, report_each_class
from mmrsir.checkpoints import safe_loading
from mmrsir.datasets.loading.reading import Reading
from mmrsir.engine import launch, scopes
from mmrsir.engine.config_files import run_name
from mmrsir.engine.hooks.prediction_pictures import picture_names
from mmrsir.utils.arguments import check_int
from mmrsir.utils.errors import plain_errors
from mmrsir.utils.missing import check_file
from mmrsir.utils.progress import show_progress
from mmrsir.visualization.backbone import read_picture
from mmrsir.visualization.contact_sheet import contact_sheet
from mmrsir.visualization.samples import draw_sample

SHOWN_ROWS = 20
COLUMNS = {'mmdet': 2, 'mmseg': 2, 'mmpretrain': 4}  # of the sheet: two draw truth and prediction


def main() -> None:
    replacements.enable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    launch.add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir',
        type=Path,
        help='folder for the results (default: work_dirs/results/<run>_<checkpoint>)',
    )
    parser.add_argument(
        '--worst', type=int, default=12, metavar='K', help='images to draw (default: %(default)s)'
    )
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()

    out_dir = args.out_dir or Path('work_dirs/results', run_name(args.config, args.checkpoint))
    check_int('--worst', args.worst, minimum=1)
    check_file('checkpoint', args.checkpoint)
    cfg = launch.read_config(args.config, args.cfg_options)
    scopes.complete_test(cfg)
    if cfg.default_scope == 'mmdet':
        report_each_class(cfg)
    scopes.set_dataloader_defaults(cfg)
    cfg.launcher = 'none'
    cfg.load_from = args.checkpoint
    cfg.work_dir = str(out_dir)

    task = TASKS[cfg.default_scope]
    runner = launch.build_runner(cfg, splits=('test',))
    hook = ResultsHook(task, args.worst)
    runner.register_hook(hook)
    metrics = runner.test()

    classes = [*hook.classes, NO_OBJECT][: len(hook.matrix)]
    plot_confusion(hook.matrix, classes, task.counted, out_dir / 'confusion_matrix.png')
    rows = task.per_class(hook.matrix, hook.classes, metrics)
    write_csv(rows, out_dir / 'per_class.csv')
    names = picture_names(runner.test_dataloader.dataset)
    contact_sheet(
        draw_worst(hook.worst, names, runner, out_dir / 'worst'),
        out_dir / 'worst.png',
        columns=COLUMNS[cfg.default_scope],
        title=f'The worst of {len(runner.test_dataloader.dataset)} images, by the {task.score}',
        captions=[
            f'{Path(names[one.sample.img_path]).stem}: {one.score:.2f}' for one in hook.worst
        ],
    )
    print_table(rows)
    print(f'The worst images, by the {task.score}:')
    for one in hook.worst:
        print(f'  {one.score:.2f} {one.sample.img_path}')
    print(f'wrote confusion_matrix.png, per_class.csv, worst.png and worst/ to {out_dir}')


def write_csv(rows: list[Row], out_file: Path) -> None:
    with out_file.open('w', encoding='utf-8', newline='') as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def draw_worst(
    worst: list[Rated], names: Mapping[str, str], runner: Any, folder: Path
) -> list[Path]:
    pictures = []
    for rank, one in enumerate(show_progress(worst, 'Drawing the worst images'), start=1):
        path = one.sample.img_path
        pictures.append(folder / f'{rank:03}_{names[path]}')
        image = read_picture(path, reading=Reading.of_config(runner.cfg))
        draw_sample(
            runner.visualizer, image, one.sample, out_file=pictures[-1], score_thr=SCORE_THR
        )
    return pictures


def print_table(rows: list[Row]) -> None:
    columns = list(rows[0])

    def absent_last(row: Row) -> tuple[bool, float]:
        figure = float(row[columns[1]])
        return math.isnan(figure), figure

    shown = sorted(rows, key=absent_last)
    title = 'Classes, the worst first'
    if len(shown) > SHOWN_ROWS:
        title += f': {SHOWN_ROWS} of {len(shown)}'
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify='left' if column == 'class' else 'right')
    for row in shown[:SHOWN_ROWS]:
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == '__main__':
    with plain_errors():
        main()
