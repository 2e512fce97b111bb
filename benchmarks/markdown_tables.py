"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, a line for each row."""
    head, *lines = (f'| {" | ".join(cells)} |' for cells in (columns, *rows))
    return '\n'.join([head, f'|{"---|" * len(columns)}', *lines])
