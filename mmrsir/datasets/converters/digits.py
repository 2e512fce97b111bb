"""scikit-learn's 1,797 handwritten digits, written out as an image folder."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ...utils.progress import show_progress

VAL_SHARE = 0.2
SEED = 0


def make_digits(out_dir: str | Path) -> dict[str, int]:
    """Write the digits, 8 x 8 pixels each, in class folders.

    Files are ``<split>/<digit>/<number>.png`` with the number that the picture has in
    scikit-learn's data set; splits are ``train`` and ``val``.
    """
    digits = load_digits()
    numbers = np.arange(len(digits.images))
    train, val = train_test_split(
        numbers, test_size=VAL_SHARE, random_state=SEED, stratify=digits.target
    )
    grey = np.round(digits.images * (255 / digits.images.max())).astype(np.uint8)
    for split, members in (('train', train), ('val', val)):
        for number in show_progress(members, f'writing {split}'):
            folder = Path(out_dir, split, str(digits.target[number]))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey[number]).save(folder / f'{number:04d}.png')
    return dict(train=len(train), val=len(val))
