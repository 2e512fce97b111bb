"""The paper's figures beside those of our configs.

The published figures stand in ``docs/paper_tables.csv``, one line for each row of Tables 2
to 7 of arXiv 2304.06250. Parameters and FLOPs of our models are counted; the accuracy that
they reached stands in the ``Measured`` line at the head of each config file.
"""

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from .flops import count_config

PUBLISHED = 'docs/paper_tables.csv'
NOT_MEASURED = 'not measured'
METRICS = {  # columns of the file, in the words of the config heads
    'top1': 'top-1',
    'box_ap': 'box AP',
    'box_ap50': 'box AP50',
    'box_ap75': 'box AP75',
    'mask_ap': 'mask AP',
    'mask_ap50': 'mask AP50',
    'mask_ap75': 'mask AP75',
    'ss_miou': 'mIoU',
    'ms_miou': 'multi-scale mIoU',
}
# The size of RSIR-B is unclear (docs/paper.md), so its rows are read in two ways.
MODELS = {
    'RSIR-T': {'t': 'RSIR-T'},
    'RSIR-B': {'b': 'RSIR-B (24 blocks)', 'b36': 'RSIR-B (36 blocks)'},
}
# Experiment of each table, and the configs of its rows; the first of them is measured for cost.
EXPERIMENTS = {
    2: ('ImageNet-1K', ['cls/rsir_{}_in1k.py']),
    3: (
        'Mask R-CNN 1x, COCO',
        ['mask_rcnn/rsir_{}_1x_coco.py', 'mask_rcnn/rsir_{}_1x-ms_coco.py'],
    ),
    4: ('Caltech-256', ['cls/rsir_{}_caltech256.py']),
    5: ('Mini-ImageNet', ['cls/rsir_{}_miniin.py']),
    6: ('UperNet, ADE20K', ['upernet/rsir_{}_160k_ade20k_512x512.py']),
}
HEADER = """\
| experiment | model | parameters: paper | here | FLOPs: paper | here | accuracy: paper | here |
|---|---|---|---|---|---|---|---|"""
BEGIN = '<!-- written by: python tools/analysis_tools/paper_report.py --update -->'
END = '<!-- end of what paper_report.py writes -->'


class Row(NamedTuple):
    """A published row and the configs that are to reproduce it.

    Args:
        experiment: Task, data set, image size and table.
        model: Name of the model.
        published: The row of the file, by column; '' where the paper gives no figure.
        configs: Config files.
    """

    experiment: str
    model: str
    published: dict[str, str]
    configs: list[Path]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width at which FLOPs are published, in pixels."""
        return int(self.published['height']), int(self.published['width'])

    @property
    def published_accuracy(self) -> dict[str, str]:
        """The row's metrics in percent, as printed, by name."""
        return {
            name: self.published[column]
            for column, name in METRICS.items()
            if self.published[column]
        }


def read_rows(root: Path, tables: Collection[int]) -> list[Row]:
    """Read what the paper says of the RSIR Transformer.

    Args:
        root: The repository.
        tables: Numbers of the paper's tables, keys of :data:`EXPERIMENTS`.

    Returns:
        The rows in the paper's order, those of RSIR-B once for each reading of its size.
    """
    rows = []
    with (root / PUBLISHED).open(newline='') as file:
        for published in csv.DictReader(file):
            table = int(published['table'])
            if table not in tables:
                continue
            experiment, configs = EXPERIMENTS[table]
            size = f'{published["height"]} x {published["width"]}'
            for variant, model in MODELS.get(published['system'], {}).items():
                rows.append(
                    Row(
                        experiment=f'{experiment}, {size} (Table {table})',
                        model=model,
                        published=published,
                        configs=[root / 'configs' / name.format(variant) for name in configs],
                    )
                )
    return rows


def head_line(config: Path, name: str) -> str:
    """Return what the head of a config file says under a name.

    Args:
        config: The config file.
        name: ``'Command'``, ``'Cost'``, ``'Published'`` or ``'Measured'``.

    Returns:
        The text, on one line.

    Raises:
        ValueError: The head has no such line.
    """
    head = config.read_text().split('"""')[1]
    # Indented lines that follow belong to it.
    found = re.search(rf'^{name} +(\S.*(?:\n +\S.*)*)', head, flags=re.MULTILINE)
    if found is None:
        raise ValueError(f'the head of {config} has no line {name!r}')
    return ' '.join(found[1].split())


def measured_accuracy(configs: Collection[Path]) -> str:
    """Return what configs have reached, or that it is not measured.

    Args:
        configs: Config files.

    Returns:
        The ``Measured`` line of each, with the config's name.
    """
    results = {config.stem: head_line(config, 'Measured') for config in configs}
    known = [f'{text} [{name}]' for name, text in results.items() if text != NOT_MEASURED]
    return '; '.join(known) or NOT_MEASURED


def markdown(row: Row) -> str:
    """Measure the model of a row and set the published figures beside the measured ones.

    Args:
        row: The row.

    Returns:
        A line of the table that :data:`HEADER` begins.
    """
    cost = count_config(Config.fromfile(row.configs[0]), *row.image_size)
    cells = [row.experiment, row.model]
    for column, measured, unit in (
        ('params_m', cost.params / 1e6, 'M'),
        ('flops_g', cost.flops / 1e9, 'G'),
    ):
        published = row.published[column]
        difference = 100 * (measured / float(published) - 1)
        cells += [f'{published} {unit}', f'{measured:.1f} {unit} ({difference:+.0f} %)']
    cells.append(', '.join(f'{name} {value}' for name, value in row.published_accuracy.items()))
    cells.append(measured_accuracy(row.configs))
    return f'| {" | ".join(cells)} |'


def replace_table(text: str, table: str) -> str:
    """Put a table between the two marks that :data:`BEGIN` and :data:`END` set in a document.

    Args:
        text: The document.
        table: The table.

    Returns:
        The document with this table.

    Raises:
        ValueError: The marks are not there once each, in this order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f'the document must hold once each, in this order: {BEGIN} and {END}')
    return f'{before}{BEGIN}\n{table}\n{END}{after}'
