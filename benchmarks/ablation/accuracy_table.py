"""Results as a table."""

from collections.abc import Sequence

from .results import Row, summarize

MISSING = '-'


def markdown(rows: Sequence[Row]) -> str:
    """Show what variants reached, one a line.

    Args:
        rows: All trainings.

    Returns:
        A table in Markdown: by task, mean and standard deviation over seeds, and how many of the
        trainings solved it.
    """
    reached = summarize(rows)
    tasks = list(dict.fromkeys(row.task for row in rows))
    # The size differs between tasks by the classes of the last layer alone.
    size = {row.label: (row.params, row.flops) for row in reversed(rows)}
    lines = [
        f'| variant | parameters | FLOPs | {" | ".join(tasks)} |',
        f'|---|---|---|{"---|" * len(tasks)}',
    ]
    for label in dict.fromkeys(label for _, label in reached):
        params, flops = size[label]
        cells = [label, f'{params / 1e6:.2f} M', f'{flops / 1e6:.0f} M']
        for task in tasks:
            one = reached.get((task, label))
            cells.append(
                MISSING
                if one is None
                else f'{one.mean:.1f} ± {one.deviation:.1f} '
                + (f'({one.seeds})' if one.solved is None else f'({one.solved} of {one.seeds})')
            )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)
