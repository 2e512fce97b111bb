"""The log of a run, and silence in plain Python, where no run is.

mmengine's messages go to the newest logger. Where there is none, it makes one that prints, so a
script that only builds a model would print hundreds of lines.
"""

import logging

from mmengine.logging import MMLogger

FALLBACK = 'mmengine'  # the name of the logger that mmengine makes when there is none


def has_run_log() -> bool:
    """Return whether a runner or the user has made a logger, which is to get information."""
    logger = MMLogger.get_current_instance()
    to_file = any(isinstance(handler, logging.FileHandler) for handler in logger.handlers)
    return logger.instance_name != FALLBACK or to_file


def log_information(message: str) -> None:
    """Write a message of level INFO to the log of a run; say nothing in plain Python."""
    if has_run_log():
        MMLogger.get_current_instance().info(message)
