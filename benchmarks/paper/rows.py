"""The rows of the paper's tables, with the configs that are to reproduce them.

The metafiles of the configs hold the published figures of Tables 2 to 7 of arXiv 2304.06250,
the counted cost, and the accuracy that was reached.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from speed.timing import describe

from mmrsir.analysis.flops import count_config
from mmrsir.engine.config_files import read_file

NOTES = 'docs/paper_notes.csv'
NOT_MEASURED = 'not measured'
PUBLISHED = 'Published '  # begins the name of a figure of the paper in the metafiles
TOLERANCE = 5  # percent; a cost that differs by more has its reason in NOTES
SHORT = {  # names of the metafiles' metrics in tables
    'Top 1 Accuracy': 'top-1',
    'Top 5 Accuracy': 'top-5',
    'mIoU(ms+flip)': 'multi-scale mIoU',
}


class Experiment(NamedTuple):
    """What the rows of a table have in common."""

    title: str  # task and data set
    image_size: tuple[int, int]  # height and width in pixels
    batch: int  # images that are timed together
    configs: tuple[str, ...]  # with {} for the model; the first gives cost and throughput
    ours: tuple[str, ...] = ()  # further ones of the RSIR Transformer
    # Model whose throughput is 1; None where the networks are those of Table 2.
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
# The rows of each table, in the paper's order.
SYSTEMS = {
    2: (
        'RegNetY-4G, DeiT-S, PVT-S, Swin-T, CSWin-T, MaxViT-T, RSIR-T, RegNetY-16G, ViT-B, '
        'DeiT-B, PVT-B, Swin-B, CSWin-B, MaxViT-B, RSIR-B'
    ),
    3: (
        'ResNet-50, Twins-S, PVT-S, Swin-T, CSWin-T, MaxViT-T, RSIR-T, ResNeXt-101-64x4d, '
        'Twins-L, PVT-L, Swin-B, CSWin-B, MaxViT-B, RSIR-B'
    ),
    4: ('Swin-T, CSWin-T, MaxViT-T, RSIR-T, ViT-B, Swin-B, CSWin-B, MaxViT-B, RSIR-B'),
    5: ('Swin-T, CSWin-T, MaxViT-T, RSIR-T, ViT-B, Swin-B, CSWin-B, MaxViT-B, RSIR-B'),
    6: ('Twins-S, Swin-T, CSWin-T, MaxViT-T, RSIR-T, Twins-L, Swin-B, CSWin-B, MaxViT-B, RSIR-B'),
    7: (
        'Swin shifted windows, Spatially separable (Twins), Sequential axial, Criss-cross, '
        'Cross-shaped (CSWin), Grid (MaxViT), RSIR'
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
    """Parameters, and multiply-adds of a forward pass with one image."""

    params: int
    flops: int


class PaperRow(NamedTuple):
    """A published row and the configs that are to reproduce it."""

    table: int  # its number in the paper
    model: str
    entries: dict[Path, dict[str, Any]]  # what the metafiles say of each config

    @property
    def config(self) -> Path:
        return next(iter(self.entries))

    @property
    def metadata(self) -> dict[str, Any]:
        return self.entries[self.config]['Metadata']

    @property
    def image_size(self) -> tuple[int, int]:
        height, width = map(int, self.metadata['Image Size'].split(' x '))
        return height, width

    @property
    def cost(self) -> Cost:
        return Cost(self.metadata['Parameters'], self.metadata['FLOPs'])

    @property
    def published_accuracy(self) -> dict[str, float]:
        """The paper's metrics in percent, by name."""
        return {
            name.removeprefix(PUBLISHED): value
            for entry in self.entries.values()
            for name, value in metrics(entry)
            if name.startswith(PUBLISHED)
        }

    @property
    def measured_accuracy(self) -> str:
        """What was reached here by which config, or that nothing was measured."""
        known = [
            f'{text} [{config.stem}]'
            for config, entry in self.entries.items()
            for text in measured(entry).values()
        ]
        return '; '.join(known) or NOT_MEASURED


def metrics(entry: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for result in entry.get('Results', ()):
        yield from result['Metrics'].items()


def measured(entry: dict[str, Any]) -> dict[str, str]:
    """Return what a model reached here, by data set."""
    reached: dict[str, dict[str, float]] = {}
    for result in entry.get('Results', ()):
        for name, value in result['Metrics'].items():
            if not name.startswith(PUBLISHED):
                reached.setdefault(result['Dataset'], {})[name] = value
    return {data: listed(figures) for data, figures in reached.items()}


def listed(figures: dict[str, float]) -> str:
    """Return metrics on one line, with short names."""
    text = ', '.join(f'{name} {value}' for name, value in figures.items())
    for name, short in SHORT.items():
        text = text.replace(name, short)
    return text


def read_metafiles(root: Path) -> dict[Path, dict[str, Any]]:
    def read(path: str) -> Any:
        return yaml.safe_load((root / path).read_text())

    models = [model for file in read('model-index.yml')['Import'] for model in read(file)['Models']]
    return {root / model['Config']: model for model in models}


def read_rows(root: Path, table: int) -> list[PaperRow]:
    experiment, models = EXPERIMENTS[table], read_metafiles(root)
    rows = []
    for system in SYSTEMS[table].split(', '):
        name = f'baselines/{system.lower().replace("-", "_")}'
        patterns = experiment.configs + (experiment.ours if system in OURS else ())
        for config, model in OURS.get(system, {OTHERS.get(system, name): system}).items():
            paths = [root / 'configs' / one.format(config) for one in patterns]
            rows.append(PaperRow(table, model, {path: models[path] for path in paths}))
    return rows


def read_notes(root: Path, table: int) -> dict[str, str]:
    """Read why costs of a table differ from the published ones, by the name of the model."""
    with (root / NOTES).open(newline='') as file:
        notes = csv.DictReader(file)
        return {note['model']: note['note'] for note in notes if int(note['table']) == table}


def count(row: PaperRow) -> Cost | str:
    """Count what the model of a row costs, or say why it cannot be counted."""
    try:
        counted = count_config(read_file(row.config), *row.image_size)
    except Exception as error:
        return describe(error)
    return Cost(counted.params, counted.flops)
