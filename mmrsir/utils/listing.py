"""Many items in one message."""

from collections.abc import Sequence


def first_ten(items: Sequence[str]) -> str:
    """Name the first ten of some items, and how many more there are."""
    more = [f'and {len(items) - 10} more'] if len(items) > 10 else []
    return ', '.join([*items[:10], *more])
