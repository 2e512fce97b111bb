"""A bar that shows how far a long work is, where a person looks at a terminal."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar('T')


def show_progress(items: Iterable[T], title: str, total: int, console: Console) -> Iterable[T]:
    """Hand on items and show how many are done."""
    hidden = not console.is_terminal or console.quiet
    return track(items, title, total, console=console, transient=True, disable=hidden)
