"""What the libraries say at each start, that tells a user nothing; our tools leave it out."""

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from mmengine.logging import MMLogger

PRINTED = 'Could not import OneDL'  # data sets of a vendor, printed twice by each library
WARNED = (
    "'pin_memory' argument is set as true but no accelerator",
    'Default ``avg_non_ignore`` is False',
    'The draw is False, it means that the hook for visualization',
    '`reduce_zero_label` will be deprecated',
    "Only use 'alpha' for pillow backend",
    'palette does not exist, random is used by default',
    'Warning: The ',  # bbox, polygon or text is out of bounds
)
LOGGED = re.compile(
    '"(FileClient|HardDiskBackend)" |The prefix is not set in metric class|'
    'Failed to search registry with scope'
)


@contextmanager
def imports_unsaid() -> Iterator[None]:
    """Print what is printed inside, but not what libraries print while they are imported."""
    held = StringIO()
    try:
        with redirect_stdout(held):
            yield
    finally:
        lines = held.getvalue().splitlines(keepends=True)
        sys.stdout.write(''.join(line for line in lines if not line.startswith(PRINTED)))


def leave_out_warnings() -> None:
    """Ignore warnings of the libraries about their own defaults, in this process."""
    MMLogger.get_current_instance().addFilter(is_news)
    for message in WARNED:
        warnings.filterwarnings('ignore', message=re.escape(message))


def is_news(record: logging.LogRecord) -> bool:
    """Return whether a run's log should have a message: a filter of loggers."""
    return not LOGGED.match(record.getMessage())
