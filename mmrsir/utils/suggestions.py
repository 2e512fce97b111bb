"""The end of a message about an unknown name: which known name is near."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches


def did_you_mean(
    name: object, known: Iterable[str], shown: Callable[[str], str] = repr, cutoff: float = 0.6
) -> str:
    """Return ``'; did you mean …?'``; empty where none is near. ``cutoff=0`` takes any name."""
    near = get_close_matches(str(name), list(known), 1, cutoff)
    return f'; did you mean {shown(near[0])}?' if near else ''
