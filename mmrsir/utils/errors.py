"""Errors that a user can mend, and the one way in which commands print them."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SINGLE_VALUE = (
    'batch normalization needs more than one value in a channel, but got one image in a batch: set '
    'train_dataloader.batch_size to 2 or more, and drop_last=True if the last batch of an epoch '
    "has one image; or use norm_cfg=dict(type='GN', num_groups=32)"
)

NO_CLASS = (
    'a label of the data stands for no class; labels go from 0 to num_classes - 1, and 255 is '
    'ignored. tools/misc/check_dataset.py names the files; reduce_zero_label=True takes 1 from '
    'each label first'
)


NO_MEMORY = (
    'there is not enough memory: use smaller pictures, or a smaller batch in training; more is in '
    'docs/questions.md#it-runs-out-of-memory'
)
_OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory")

OUT_OF_BOUNDS = r'Target -?\d+ is out of bounds\.|Class Index must be less than number of classes'


class UserError(Exception):
    """An error whose message says what to do: the tools print it without a traceback."""


class InvalidValueError(UserError, ValueError):
    """A value is not allowed, or does not go with another one."""


class InvalidTypeError(UserError, TypeError):
    """A value has a type that is not allowed."""


@contextmanager
def plain_errors(status: int = 1) -> Iterator[None]:
    """Print an error that a user can mend in one line, without a traceback, and exit.

    Such are :class:`UserError` and errors of the system, such as a full disk.

    Args:
        status: The exit status.
    """
    try:
        yield
    except (UserError, OSError) as error:
        # That of a loading worker comes with the traceback of the worker in front.
        said = str(error).rpartition(f'{type(error).__name__}: ')[2].rstrip()
    except ValueError as error:
        if 'Expected more than 1 value per channel' not in str(error):
            raise
        said = f'{SINGLE_VALUE} ({error})'
    except (AssertionError, IndexError) as error:  # of a loss on the CPU
        if not re.fullmatch(OUT_OF_BOUNDS, str(error)):
            raise
        said = f'{NO_CLASS} ({error})'
    except (MemoryError, RuntimeError) as error:  # of NumPy; of torch, on the CPU and on a GPU
        if not isinstance(error, MemoryError) and not _OUT_OF_MEMORY.search(str(error)):
            raise
        said = f'{NO_MEMORY} ({str(error).partition(". See ")[0]})'
    else:
        return
    print(f'error: {said}', file=sys.stderr)
    raise SystemExit(status)
