"""A bar that shows how far a long work is, where a person looks at a terminal."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar('T')
CONSOLE = Console(stderr=True)


def show_progress(items: Iterable[T], title: str, total: int | None = None) -> Iterable[T]:
    """Hand on items and show how many are done; ``total`` is for those without a length."""
    hidden = not CONSOLE.is_terminal
    return track(items, title, total, console=CONSOLE, transient=True, disable=hidden)
