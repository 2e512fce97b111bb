"""scikit-learn's 1,797 handwritten digits, written out as an image folder."""

from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def make_digits(out_dir: str | Path, val_share: float = 0.2, seed: int = 0) -> dict[str, int]:
    """Write the digits, 8 x 8 pixels each, in class folders.

    Files are ``<split>/<digit>/<number>.png`` with the number that the picture has in
    scikit-learn's data set; splits are ``train`` and ``val``.

    Args:
        out_dir: Folder to write to; files of an earlier run are written again.
        val_share: Share of validation pictures, stratified by class, between 0 and 1.
        seed: Seed of the split.

    Returns:
        Number of pictures of each split.

    Raises:
        ValueError: ``val_share`` is not between 0 and 1.
    """
    if not 0 < val_share < 1:
        raise ValueError(f'val_share={val_share} must be between 0 and 1')
    digits = load_digits()
    numbers = np.arange(len(digits.images))
    train, val = train_test_split(
        numbers, test_size=val_share, random_state=seed, stratify=digits.target
    )
    grey = np.round(digits.images * (255 / digits.images.max())).astype(np.uint8)
    for split, members in (('train', train), ('val', val)):
        for number in track(members, description=f'writing {split}', transient=True):
            folder = Path(out_dir, split, str(digits.target[number]))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey[number]).save(folder / f'{number:04d}.png')
    return dict(train=len(train), val=len(val))
