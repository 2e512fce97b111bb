"""Mini-ImageNet (Vinyals et al., 2016): 100 classes of ImageNet with 600 images each.

It was made for few-shot learning, where training, validation and test have different classes: 64,
16 and 20 of them, listed in ``train.csv``, ``val.csv`` and ``test.csv`` (Ravi and Larochelle,
2017). Classification needs all classes in training. So the 100 classes are merged, the lists are
not used, and every class is split anew: 500 images for training and 100 for validation.

Copies that circulate differ in their folders: all images in ``images/``, a folder a class, or
``{train,val,test}/<class>/``. All are read, as the name of an image, or else its folder, begins
with its class, a WordNet ID. They also differ in names and sizes:

- ``n0153282900000005.jpg``: the names of the lists above, and of the published manifest;
- ``n01532829_1234.JPEG``: ImageNet's own names. We know of no table that says which of them is
  which of the others, so such a copy takes a manifest of its own. Its split is a different one,
  but the same for all who have that copy;
- images that were scaled to 84 x 84 pixels cannot be told by their names, and are too small for
  training at 224 x 224: the conversion prints the size.

Open: how the RSIR paper splits the data set (Section 4.2 does not say). Accuracy on this split
need not compare with the published one.

The published manifest was made from the file names alone, those of the three lists, of which three
public copies agree; the images themselves were not at hand.
"""

import re
from fractions import Fraction
from pathlib import PurePosixPath

from .conversion import ImageSet

_WORDNET_ID = re.compile(r'n\d{8}')


def class_of(below: PurePosixPath) -> str | None:
    """Return the class of an image: the WordNet ID that its name, or else a folder, begins with."""
    matches = map(_WORDNET_ID.match, reversed(below.parts))
    return next((match.group() for match in matches if match), None)


MINIIMAGENET = ImageSet(
    name='Mini-ImageNet',
    class_of=class_of,
    val_share=Fraction(1, 6),
    needed='Needed are the image files, in an archive or in folders. Pickled caches (.pkl) are '
    'refused: they hold arrays of 84 x 84 pixels without file names, and loading a pickle runs '
    'whatever code is in it.',
)
