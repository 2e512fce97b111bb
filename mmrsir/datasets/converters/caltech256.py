"""Caltech-256 (Griffin, Holub and Perona, 2007), a data set of photographs of objects.

It is distributed as `256_ObjectCategories.tar <https://data.caltech.edu/records/nyy15-4j048>`_:
30 607 images in the folders ``001.ak47`` to ``257.clutter``, named ``001_0001.jpg`` and so on,
without a split. Two things in it are no images, and are passed over: the file
``198.spider/RENAME2`` and the folder ``056.dog/greg``.

Open: whether the RSIR paper counts ``257.clutter`` as a class, and how it splits the rest; it says
neither (Section 4.2). Here there are 256 classes, as the name says: the clutter shares no object,
and its authors added it to test the rejection of backgrounds. A fifth of each class is for
validation. Accuracy on this split need not compare with the published one.

The published manifest was made from the file names alone. Three public lists of the archive's
files, which agree with each other, were compared; the images themselves were not at hand.
"""

import re
from fractions import Fraction
from pathlib import PurePosixPath

from .conversion import ImageSet

_CLASS = re.compile(r'(?!257)\d{3}\..+')


def class_of(below: PurePosixPath) -> str | None:
    """Return the class of an image: its folder, unless that is no class."""
    folder = below.parent.name
    return folder if _CLASS.fullmatch(folder) else None


CALTECH256 = ImageSet(
    name='Caltech-256',
    class_of=class_of,
    val_share=Fraction(1, 5),
    needed='Needed is 256_ObjectCategories.tar, or the folder that it holds, with the images in '
    'folders 001.ak47 to 256.toad.',
)
