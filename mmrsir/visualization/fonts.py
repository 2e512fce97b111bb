"""Fonts of pictures that have the letters of all names."""

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from mmengine.logging import print_log
from mmengine.visualization import Visualizer

PACKAGES = 'fonts-noto-cjk (Chinese, Japanese, Korean) or fonts-noto-core (most others)'
_draw_texts = Visualizer.draw_texts


def fonts_for(names: Iterable[str]) -> AbstractContextManager[None]:
    """Let plots inside take fonts that have the letters of names; warn of letters without one."""
    usual = matplotlib.rcParams['font.family']
    return matplotlib.rc_context({'font.family': [*usual, *_added(names, usual)]})


def draw_texts(visualizer: Visualizer, texts: str | list[str], *args: Any, **kwargs: Any) -> Any:
    """Draw texts as mmengine does, with fonts that have their letters.

    :mod:`mmrsir.replacements` gives it the place of mmengine's ``Visualizer.draw_texts``.
    """
    names = [texts] if isinstance(texts, str) else list(texts)
    added = _added(names, ['sans-serif'])
    if added and not {'font_families', 'font_properties'} & set(kwargs):
        kwargs['font_families'] = [['sans-serif', *added]] * len(names)
        texts = names
    return _draw_texts(visualizer, texts, *args, **kwargs)


def _added(names: Iterable[str], usual: list[str]) -> tuple[str, ...]:
    letters = {letter for name in names for letter in name if letter.isprintable()}
    return _families(frozenset(map(ord, letters)), tuple(usual)) if letters else ()


@cache  # so that what is missing is told once, and not with each picture
def _families(letters: frozenset[int], usual: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fonts to take besides the usual ones."""
    missing, families = set(letters), []
    for family in usual:
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
        print_log(
            f'no installed font has the letters {"".join(map(chr, sorted(missing)[:10]))!r}: boxes '
            f'are drawn for them. Install a font, in Debian {PACKAGES}, and delete the list of '
            f'fonts in {matplotlib.get_cachedir()}',
            logger='current',
            level=logging.WARNING,
        )
    return tuple(families)


@cache
def _letters(path: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that matplotlib cannot read
        return frozenset()
