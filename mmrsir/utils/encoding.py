"""Texts that other programs write: in which encoding they are, and what to do about it."""

import codecs

_MARKS = {
    codecs.BOM_UTF8: 'UTF-8 with a byte order mark',
    codecs.BOM_UTF32_LE: 'UTF-32',
    codecs.BOM_UTF32_BE: 'UTF-32',
    codecs.BOM_UTF16_LE: 'UTF-16',
    codecs.BOM_UTF16_BE: 'UTF-16',
}
_REMEDY = 'save it as UTF-8 without a byte order mark'


def encoding_problem(data: bytes) -> str:
    """Return why the content of a file is not UTF-8, and what to do; empty if it is."""
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            return f'it is {name}: {_REMEDY}'
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        start = data.rfind(b'\n', 0, error.start) + 1
        text = data[start : error.start + 20].decode('cp1252', errors='replace')[-40:].strip()
        return (
            f'it is not UTF-8 (byte 0x{data[error.start]:02x} in line {line}; in the encoding of '
            f'Windows, cp1252, it reads {text!r}): {_REMEDY}'
        )
    return ''
