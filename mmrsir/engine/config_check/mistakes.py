"""A mistake in a config, and the names that its author may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple


class Mistake(NamedTuple):
    """A setting that is wrong.

    Args:
        setting: Its path in the config, as ``--cfg-options`` takes it.
        problem: What is wrong with it.
    """

    setting: str
    problem: str


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message: which known name is near to a given one, if one is."""
    nearest = get_close_matches(name, known, n=1)
    return f'; did you mean {nearest[0]!r}?' if nearest else ''
