"""A mistake in a config."""

from typing import NamedTuple


class Mistake(NamedTuple):
    """A setting that is wrong.

    Args:
        setting: Its path in the config, as ``--cfg-options`` takes it.
        problem: What is wrong with it.
    """

    setting: str
    problem: str
