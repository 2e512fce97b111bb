"""Fonts of plots that have the letters of all names."""

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from mmengine.logging import print_log

PACKAGES = 'fonts-noto-cjk (Chinese, Japanese, Korean) or fonts-noto-core (most others)'


def fonts_for(names: Iterable[str]) -> AbstractContextManager[None]:
    """Let plots inside take fonts that have the letters of names; warn of letters without one."""
    families = list(matplotlib.rcParams['font.family'])
    missing = {ord(letter) for name in names for letter in name if letter.isprintable()}
    for family in families:
        missing -= _letters(font_manager.findfont(FontProperties(family=[family])))
    # Matplotlib's last resort draws a box for every letter.
    known = {font.fname: font.name for font in font_manager.fontManager.ttflist}
    others = sorted(one for one in known.items() if 'Last Resort' not in one[1])
    while missing:
        path, family = max(others, key=lambda one: len(missing & _letters(one[0])))
        if not missing & _letters(path):
            break
        families.append(family)
        missing -= _letters(path)
    if missing:
        letters = ''.join(map(chr, sorted(missing)[:10]))
        print_log(
            f'no installed font has the letters {letters!r}, so boxes are drawn. Install one '
            f'that has them, in Debian {PACKAGES}, and delete {matplotlib.get_cachedir()}',
            logger='current',
            level=logging.WARNING,
        )
    return matplotlib.rc_context({'font.family': families})


@cache
def _letters(path: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that matplotlib cannot read
        return frozenset()
