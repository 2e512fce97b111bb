"""Results as a table."""

from collections.abc import Sequence

from markdown_tables import markdown_table

from .results import Outcome, compare, summarize

MISSING = '-'
REFERENCE = 'rsir'
LEGEND = (
    'Accuracy in percent: mean ± standard deviation of one training (number of seeds, or how many '
    f'of them solved the task). Minus {REFERENCE}: the mean difference to {REFERENCE} with the '
    'same seed ± its standard error, bold where it exceeds two standard errors.'
)


def markdown(rows: Sequence[Outcome]) -> str:
    """Show what variants reached, one a line."""
    reached, differences = summarize(rows), compare(rows, REFERENCE)
    tasks = list(dict.fromkeys(row.task for row in rows))
    # The size differs between tasks by the classes of the last layer alone.
    size = {row.label: (row.params, row.flops) for row in reversed(rows)}
    columns = ['variant', 'parameters', 'FLOPs']
    for task in tasks:
        columns += [task, f'minus {REFERENCE}']
    lines = []
    for label in dict.fromkeys(label for _, label in reached):
        params, flops = size[label]
        cells = [label, f'{params / 1e6:.2f} M', f'{flops / 1e6:.0f} M']
        for task in tasks:
            one, difference = reached.get((task, label)), differences.get((task, label))
            if one is None:
                cells.append(MISSING)
            else:
                seeds = f'{one.seeds}' if one.solved is None else f'{one.solved} of {one.seeds}'
                spread = f' ± {one.deviation:.1f}' if one.seeds > 1 else ''  # one seed has none
                cells.append(f'{one.mean:.1f}{spread} ({seeds})')
            if difference is None:
                cells.append(MISSING)
            else:
                mark = '**' if difference.is_clear else ''
                # Of -0.0 the sum makes 0.0.
                ahead = f'{round(difference.mean, 1) + 0.0:+.1f}'
                cells.append(f'{mark}{ahead} ± {difference.error:.1f}{mark}')
        lines.append(cells)
    return markdown_table(columns, lines)
