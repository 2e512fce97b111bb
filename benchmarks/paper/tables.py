"""Published figures beside ours, as tables in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markdown_tables import markdown_table

from .rows import (
    EXPERIMENTS,
    PUBLISHED,
    TOLERANCE,
    Cost,
    PaperRow,
    listed,
    measured,
    read_metafiles,
    read_notes,
    read_rows,
)
from .throughput import Throughput, read_recorded

NOT_PUBLISHED = '-'
COST_COLUMNS = ['parameters: paper', 'here', 'FLOPs: paper', 'here']
ACCURACY_COLUMNS = ['accuracy: paper', 'here']


class CostFigure(NamedTuple):
    """A cost, published and counted."""

    published: float | None  # None where the paper gives none
    here: float | str  # what was counted, or why it could not be
    unit: str

    @property
    def difference(self) -> float | None:
        """How far it lies above the published one in percent; None if either is missing."""
        if self.published is None or isinstance(self.here, str):
            return None
        return 100 * (self.here / self.published - 1)

    def cells(self) -> list[str]:
        """Return the published and the counted one with the difference."""
        published = NOT_PUBLISHED if self.published is None else f'{self.published} {self.unit}'
        if isinstance(self.here, str):
            return [published, self.here]
        here = f'{self.here:.1f} {self.unit}'
        if self.difference is not None:
            here += f' ({round(self.difference, 1) + 0.0:+.1f} %)'  # of -0.0 it makes +0.0
        return [published, here]


def cost_figures(row: PaperRow, cost: Cost | str) -> tuple[CostFigure, CostFigure]:
    """Set parameters and FLOPs, or why they are unknown, beside the published ones."""
    params, flops = (cost, cost) if isinstance(cost, str) else (cost.params / 1e6, cost.flops / 1e9)
    published = [row.metadata.get(f'{PUBLISHED}{name}') for name in ('Parameters (M)', 'FLOPs (G)')]
    return CostFigure(published[0], params, 'M'), CostFigure(published[1], flops, 'G')


def render(
    rows: Sequence[PaperRow],
    costs: Sequence[Cost | str],
    notes: Mapping[str, str],
    throughput: Throughput | None = None,
) -> str:
    table = rows[0].table
    experiment = EXPERIMENTS[table]
    header = ['model', *COST_COLUMNS]
    if throughput is not None:
        header.append(f'throughput ({experiment.reference}: 1)')
    title = f'### Table {table}: {experiment.title}, {_size(experiment.image_size)}'
    table_rows = []
    for row, cost in zip(rows, costs, strict=True):
        usual = row.image_size == experiment.image_size
        cells = [row.model if usual else f'{row.model}, {_size(row.image_size)}']
        cells += [cell for figure in cost_figures(row, cost) for cell in figure.cells()]
        if throughput is not None:
            cells.append(throughput.relative(row.model))
        table_rows.append([*cells, listed(row.published_accuracy), row.measured_accuracy])
    lines = [title, '', markdown_table([*header, *ACCURACY_COLUMNS], table_rows)]
    if experiment.reference is None:
        lines += ['', 'Throughput: see Table 2, which has the same networks.']
    if throughput is not None and throughput.setting:
        lines += ['', f'Throughput: {throughput.setting}.']
    if notes:
        lines += ['', f'Why costs differ by more than {TOLERANCE} %:', '']
    for note in dict.fromkeys(notes.values()):
        models = ', '.join(model for model, own in notes.items() if own == note)
        lines.append(f'- {models}: {note}')
    return '\n'.join(lines)


def paper_tables(root: Path) -> str:
    """Show all tables with costs of the metafiles and the throughput that is recorded."""
    recorded, parts = read_recorded(root), []
    for table, experiment in EXPERIMENTS.items():
        rows = read_rows(root, table)
        throughput = recorded.get(table, Throughput({})) if experiment.reference else None
        costs = [row.cost for row in rows]
        parts.append(render(rows, costs, read_notes(root, table), throughput))
    return '\n\n'.join(parts)


def measured_table(root: Path) -> str:
    """Show all models whose metafile holds what was measured here."""
    rows = []
    for config, entry in read_metafiles(root).items():
        for data, reached in measured(entry).items():
            known = entry['Metadata']
            name = config.relative_to(root / 'configs').with_suffix('')
            trained = [known.get('Training Resources'), known.get('Measured')]
            if minutes := known.get('Training Time (minutes)'):
                trained.insert(1, f'{minutes} minutes')
            rows.append([f'`{name}`', data, reached, ', '.join(filter(None, trained))])
    return markdown_table(['config', 'data', 'measured', 'trained on'], rows)


def _size(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'
