"""Results as tables for the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .cases import Case
from .environment import describe_device
from .results import Results, Scaling, Timing, spread

MISSING = '-'
LEGEND = (
    "Times are those of one step. Ratio: over the baseline's, so above 1 is slower or larger. "
    'R: median over that of its own linear and convolution layers alone. MiB: weights, batch '
    'and what a step allocates at its peak.'
)


def describe_machine(results: Results) -> str:
    """Return machine, versions and date on two lines."""
    known = results.environment
    where = describe_device(known)
    versions = ', '.join(f'{name} {number}' for name, number in known['versions'].items())
    speed = f'copies {known["copy_gb_per_second"]} GB/s'
    load = f'load before {known["load_average"]:.2f}'
    return f'{where}, {speed}, {results.date}, {load}\n{versions}'


def render_case(results: Results, case: Case) -> RenderableType:
    """Show what was measured in a case."""
    rows = [row for row in results.rows if row.case == case]
    table = Table(title=str(case), title_justify='left')
    table.add_column('model', overflow='fold')
    for heading in ('median ms', 'min', 'quartiles', 'ratio', 'R', 'img/s', 'MiB', 'ratio'):
        table.add_column(heading, justify='right', no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, _cells(results, row)))
    return Group(table, *(Text(f'{row.label}: {row.failure}') for row in rows if row.failure))


def render_scaling(fits: Sequence[Scaling]) -> RenderableType:
    """Show how times grow with the image."""
    table = Table(title='time of an image ~ its tokens ** exponent', title_justify='left')
    for heading in ('model', 'step', 'tokens at stride 4'):
        table.add_column(heading)
    table.add_column('exponent', justify='right')
    for fit in fits:
        tokens = f'{fit.smallest} to {fit.largest}'
        table.add_row(Text(fit.label), fit.step, tokens, f'{fit.exponent:.3f}')
    return table


def _cells(results: Results, row: Timing) -> Iterator[str]:
    yield row.label
    if row.seconds:
        times = spread(row.seconds)
        yield f'{1000 * times.median:.1f}'
        yield f'{1000 * times.minimum:.1f}'
        yield f'{1000 * times.lower_quartile:.1f} {1000 * times.upper_quartile:.1f}'
    else:
        yield from [MISSING] * 3
    for value, digits in ((results.ratio(row), 2), (row.overhead, 2), (row.throughput, 1)):
        yield MISSING if value is None else f'{value:.{digits}f}'
    yield MISSING if row.peak_bytes is None else f'{row.peak_bytes / 2**20:.0f}'
    memory_ratio = results.ratio(row, 'peak_bytes')
    yield MISSING if memory_ratio is None else f'{memory_ratio:.2f}'
