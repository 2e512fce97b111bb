"""The rows of the paper's tables, with the configs that are to reproduce them.

The published figures stand in ``docs/paper_tables.csv``, one line for each row of Tables 2
to 7 of arXiv 2304.06250. Parameters and FLOPs are counted, or read from the metafiles, which
tests hold to what is counted; the accuracy that was reached stands in the ``Measured`` line at
the head of each config file.
"""

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.fileio import load
from speed.timing import describe

from mmrsir.analysis.flops import count_config

PUBLISHED = 'docs/paper_tables.csv'
NOTES = 'docs/paper_notes.csv'
NOT_MEASURED = 'not measured'
TOLERANCE = 5  # percent; a cost that differs by more has its reason in NOTES
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


class Experiment(NamedTuple):
    """What the rows of a table have in common.

    Args:
        title: Task and data set.
        image_size: Height and width of the images in pixels.
        batch: Number of images that are timed together.
        configs: Config files, with {} for the model; the first gives cost and throughput.
        ours: Further ones of the RSIR Transformer.
        reference: Model whose throughput is 1; None where the networks are those of Table 2,
            whose throughput is theirs.
    """

    title: str
    image_size: tuple[int, int]
    batch: int
    configs: tuple[str, ...]
    ours: tuple[str, ...] = ()
    reference: str | None = 'RSIR-T'


EXPERIMENTS = {
    2: Experiment('ImageNet-1K', (224, 224), 4, ('cls/{}_in1k.py',)),
    3: Experiment(
        'Mask R-CNN 1x, COCO',
        (800, 1280),
        1,
        ('mask_rcnn/{}_1x_coco.py',),
        ours=('mask_rcnn/{}_1x-ms_coco.py',),
    ),
    4: Experiment('Caltech-256', (224, 224), 4, ('cls/{}_caltech256.py',), reference=None),
    5: Experiment('Mini-ImageNet', (224, 224), 4, ('cls/{}_miniin.py',), reference=None),
    6: Experiment('UperNet, ADE20K', (512, 2048), 1, ('upernet/{}_160k_ade20k_512x512.py',)),
    7: Experiment(
        'Swin-T with another attention: ImageNet-1K, COCO, ADE20K',
        (224, 224),
        4,
        ('cls/{}_in1k.py', 'mask_rcnn/{}_1x_coco.py', 'upernet/{}_160k_ade20k_512x512.py'),
        reference='RSIR',
    ),
}
# The size of RSIR-B is unclear (docs/paper.md), so its rows are read in two ways.
OURS = {
    'RSIR-T': {'rsir_t': 'RSIR-T'},
    'RSIR-B': {'rsir_b': 'RSIR-B (24 blocks)', 'rsir_b36': 'RSIR-B (36 blocks)'},
}
# Where the name of the config does not follow from that of the system.
OTHERS = {
    'ResNeXt-101-64x4d': 'baselines/resnext_101',
    'Swin shifted windows': 'ablation/shifted_window',
    'Spatially separable (Twins)': 'ablation/spatially_separable',
    'Sequential axial': 'ablation/axial',
    'Criss-cross': 'ablation/criss_cross',
    'Cross-shaped (CSWin)': 'ablation/cross_shaped',
    'Grid (MaxViT)': 'ablation/grid',
    'RSIR': 'ablation/rsir',
}


class Cost(NamedTuple):
    """What a model costs.

    Args:
        params: Number of parameters.
        flops: Multiply-adds of a forward pass with one image.
    """

    params: int
    flops: int


class Row(NamedTuple):
    """A published row and the configs that are to reproduce it.

    Args:
        table: Number of the paper's table.
        model: Name of the model.
        published: The row of the file, by column; '' where the paper gives no figure.
        configs: Config files.
    """

    table: int
    model: str
    published: dict[str, str]
    configs: list[Path]

    @property
    def ours(self) -> bool:
        """Whether it is the RSIR Transformer."""
        return self.published['system'] in OURS

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the image whose cost is counted, in pixels."""
        height, width = self.published['height'], self.published['width']
        return (int(height), int(width)) if height else EXPERIMENTS[self.table].image_size

    @property
    def published_accuracy(self) -> dict[str, str]:
        """The row's metrics in percent, as printed, by name."""
        return {
            name: self.published[column]
            for column, name in METRICS.items()
            if self.published[column]
        }


def read_rows(root: Path, table: int) -> list[Row]:
    """Read a table of the paper.

    Args:
        root: The repository.
        table: Its number, a key of :data:`EXPERIMENTS`.

    Returns:
        The rows in the paper's order, that of RSIR-B once for each reading of its size.
    """
    experiment = EXPERIMENTS[table]
    rows = []
    with (root / PUBLISHED).open(newline='') as file:
        for published in csv.DictReader(file):
            if int(published['table']) != table:
                continue
            system = published['system']
            name = f'baselines/{system.lower().replace("-", "_")}'
            for config, model in OURS.get(system, {OTHERS.get(system, name): system}).items():
                row = Row(table, model, published, [])
                patterns = experiment.configs + (experiment.ours if row.ours else ())
                row.configs.extend(root / 'configs' / one.format(config) for one in patterns)
                rows.append(row)
    return rows


def read_notes(root: Path, table: int) -> dict[str, str]:
    """Read why costs of a table differ from the published ones.

    Args:
        root: The repository.
        table: Number of the table.

    Returns:
        The reason, by the name of the model.
    """
    with (root / NOTES).open(newline='') as file:
        notes = csv.DictReader(file)
        return {note['model']: note['note'] for note in notes if int(note['table']) == table}


def count(row: Row) -> Cost | str:
    """Count what the model of a row costs.

    Args:
        row: The row.

    Returns:
        Its cost, or why it cannot be counted.
    """
    try:
        counted = count_config(Config.fromfile(row.configs[0]), *row.image_size)
    except Exception as error:
        return describe(error)
    return Cost(counted.params, counted.flops)


def read_costs(root: Path) -> dict[Path, Cost]:
    """Read what the metafiles say that models cost.

    Args:
        root: The repository.

    Returns:
        Cost at the image size of the metafile, by config file.
    """
    models = [one for file in root.glob('configs/**/metafile.yml') for one in load(file)['Models']]
    return {
        root / one['Config']: Cost(one['Metadata']['Parameters'], one['Metadata']['FLOPs'])
        for one in models
    }


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
