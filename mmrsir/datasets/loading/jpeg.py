"""Which JPEGs are damaged: one answer for training, the check, the demo and the page."""

import os
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import cv2
import numpy as np

T = TypeVar('T')

# What libjpeg says of data that it decodes nevertheless, to wrong pixels. Superfluous bytes between
# segments are no proof of that: many images on the web have some, and all of their pixels.
_DAMAGE = re.compile(
    rb'(Corrupt JPEG data(?!: (bad ICC|\d+ extraneous))|Premature end of JPEG'
    rb'|Inconsistent progression|Invalid SOS parameters).*'
)
SUPERFLUOUS = re.compile(rb'\d+ extraneous bytes')
_STANDARD_ERROR = threading.RLock()  # what captures may call what does


class BrokenImageError(ValueError):
    """An image that is cut or damaged, or none at all; the message says in which way."""


def decode_jpeg(decode: Callable[[], T]) -> T:
    """Decode a JPEG, and refuse one of which data is missing.

    libjpeg fills up what is missing, and tells so on standard error only.
    """
    image, said = capture_standard_error(decode)
    damage = _DAMAGE.search(said)
    if damage:
        raise BrokenImageError(damage[0].decode(errors='replace'))
    if said:
        os.write(2, said)  # it may be of another thread
    return image


def check_jpeg(data: bytes) -> None:
    """Refuse a JPEG of which data is missing, whatever else decodes it."""
    values = np.frombuffer(data, np.uint8)
    decode_jpeg(partial(cv2.imdecode, values, cv2.IMREAD_REDUCED_GRAYSCALE_8))


def capture_standard_error(function: Callable[[], T]) -> tuple[T, bytes]:
    """Call a function and catch what is written to standard error meanwhile, by C libraries too."""
    reader, writer = os.pipe()  # a temporary file would cost a tenth of the decoding
    with open(reader, 'rb', buffering=0) as pipe, open(writer, 'wb', buffering=0):
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        with _STANDARD_ERROR:
            saved = os.dup(2)
            os.dup2(writer, 2)
            try:
                result = function()
            finally:
                os.dup2(saved, 2)
                os.close(saved)
        return result, pipe.read(65536) or b''
