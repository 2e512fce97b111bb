"""Published figures beside ours, as tables in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .rows import (
    EXPERIMENTS,
    TOLERANCE,
    Cost,
    Row,
    measured_accuracy,
    read_costs,
    read_notes,
    read_rows,
)
from .throughput import Throughput, read_recorded

BEGIN = '<!-- written by: python benchmarks/paper_report.py --update -->'
END = '<!-- end of what paper_report.py writes -->'
NOT_PUBLISHED = '-'
COST_COLUMNS = ['parameters: paper', 'here', 'FLOPs: paper', 'here']
ACCURACY_COLUMNS = ['accuracy: paper', 'here']
DOCUMENT = 'docs/paper.md'


class Figure(NamedTuple):
    """A cost, published and counted.

    Args:
        published: As printed; '' where the paper gives none.
        here: What was counted, or why it could not be.
        unit: Unit of both.
    """

    published: str
    here: float | str
    unit: str

    @property
    def difference(self) -> float | None:
        """How far it lies above the published one in percent; None if either is missing."""
        if not self.published or isinstance(self.here, str):
            return None
        return 100 * (self.here / float(self.published) - 1)

    def cells(self) -> list[str]:
        """Return the published and the counted one with the difference."""
        published = f'{self.published} {self.unit}' if self.published else NOT_PUBLISHED
        if isinstance(self.here, str):
            return [published, self.here]
        here = f'{self.here:.1f} {self.unit}'
        if self.difference is not None:
            here += f' ({round(self.difference, 1) + 0.0:+.1f} %)'  # of -0.0 it makes +0.0
        return [published, here]


def figures(row: Row, cost: Cost | str) -> tuple[Figure, Figure]:
    """Set a cost beside the published one.

    Args:
        row: The row.
        cost: What its model costs here, or why that is unknown.

    Returns:
        Parameters and FLOPs.
    """
    counted: tuple[float | str, float | str] = (
        (cost, cost) if isinstance(cost, str) else (cost.params / 1e6, cost.flops / 1e9)
    )
    published = row.published['params_m'], row.published['flops_g']
    return Figure(published[0], counted[0], 'M'), Figure(published[1], counted[1], 'G')


def render(
    rows: Sequence[Row],
    costs: Sequence[Cost | str],
    notes: Mapping[str, str],
    throughput: Throughput | None = None,
) -> str:
    """Show a table of the paper.

    Args:
        rows: Its rows.
        costs: What each model costs, or why that is unknown.
        notes: Why costs differ from the published ones, by the name of the model.
        throughput: Throughput of the models; None leaves it out.

    Returns:
        Heading, table, and what is to be said of it.
    """
    table = rows[0].table
    experiment = EXPERIMENTS[table]
    header = ['model', *COST_COLUMNS]
    if throughput is not None:
        header.append(f'throughput ({experiment.reference}: 1)')
    lines = [f'### Table {table}: {_title(table)}', '', *_head([*header, *ACCURACY_COLUMNS])]
    for row, cost in zip(rows, costs, strict=True):
        usual = row.image_size == experiment.image_size
        cells = [row.model if usual else f'{row.model}, {_size(row.image_size)}']
        cells += _cost_cells(row, cost)
        if throughput is not None:
            cells.append(throughput.relative(row.model))
        cells.append(_accuracy(row.published_accuracy))
        lines.append(_line([*cells, measured_accuracy(row.configs)]))
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


def document(root: Path) -> str:
    """Show all tables with costs of the metafiles and the throughput that is recorded.

    Args:
        root: The repository.

    Returns:
        What stands between the marks of :data:`DOCUMENT`.
    """
    costs, recorded = read_costs(root), read_recorded(root)
    parts = []
    for table in EXPERIMENTS:
        rows = read_rows(root, table)
        timed = EXPERIMENTS[table].reference is not None
        throughput = recorded.get(table, Throughput({})) if timed else None
        listed = [costs[row.configs[0]] for row in rows]
        parts.append(render(rows, listed, read_notes(root, table), throughput))
    return '\n\n'.join(parts)


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


def _title(table: int) -> str:
    """Return experiment and image size of a table."""
    experiment = EXPERIMENTS[table]
    return f'{experiment.title}, {_size(experiment.image_size)}'


def _size(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'


def _cost_cells(row: Row, cost: Cost | str) -> list[str]:
    return [cell for figure in figures(row, cost) for cell in figure.cells()]


def _accuracy(metrics: Mapping[str, str]) -> str:
    return ', '.join(f'{name} {value}' for name, value in metrics.items())


def _head(columns: Sequence[str]) -> list[str]:
    return [_line(columns), f'|{"---|" * len(columns)}']


def _line(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'
