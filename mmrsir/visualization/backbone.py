"""The backbone of a config, and pictures as it takes them."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from PIL import Image
from torch import Tensor

from ..checkpoints.reading import load_pretrained
from ..datasets.loading.images import warn_of_range
from ..datasets.loading.reading import Reading
from ..models import PyramidTransformer
from ..utils.errors import InvalidTypeError, InvalidValueError
from ..utils.missing import check_file


def build_backbone(cfg: Config, checkpoint: str | None = None) -> PyramidTransformer:
    """Build the backbone of a config alone, in evaluation mode.

    Args:
        cfg: A config of mmdet, mmseg or mmpretrain.
        checkpoint: Its weights, or those of a whole model; None for random ones, always the same.

    Raises:
        CheckpointMismatchError: The checkpoint has less than 90 % of the backbone.
        FileNotFoundError: There is no such checkpoint.
        TypeError: The config's backbone is none of ours, which alone can be traced.
    """
    settings = deepcopy(cfg.model.backbone)
    settings.pop('init_cfg', None)
    kind = settings.get('type')
    built = MODELS.get(kind) if isinstance(kind, str) else kind
    check_traceable(built, kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = MODELS.build(settings)
        backbone.init_weights()
    if checkpoint is not None:
        load_pretrained(backbone, checkpoint)
    return backbone.eval()


def check_traceable(built: Any, kind: Any) -> None:
    """Raise InvalidTypeError if a class of backbones is none of ours, which alone can be traced."""
    if not (isinstance(built, type) and issubclass(built, PyramidTransformer)):
        raise InvalidTypeError(
            f'model.backbone.type={kind} cannot be traced; '
            'allowed: RSIRTransformer, PyramidTransformer'
        )


def read_picture(
    path: str | Path, max_size: int | None = None, reading: Reading | None = None
) -> np.ndarray:
    """Read a picture, to its last byte, with the pixels that training and tests see.

    Args:
        path: The file.
        max_size: Pixels of the longer side, to which larger pictures are shrunk.
        reading: How images are read; None: as by default. :meth:`.Reading.of_config` is that of a
            config.

    Returns:
        RGB, uint8, (H, W, 3).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no picture, broken, or of an unknown range of values.
    """
    check_file('picture', str(path))
    try:
        reading = reading or Reading()
        stored = reading.pixels(Path(path).read_bytes())
        warn_of_range(path, stored, reading)
        pixels = reading.to_eight_bits(stored)
    except ValueError as error:
        raise InvalidValueError(f'{path} is no picture that can be read: {error}') from error
    picture = np.ascontiguousarray(pixels[..., ::-1])
    return picture if max_size is None else shrink(picture, max_size)


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture, RGB, uint8, (H, W, 3), whose longer side has at most so many pixels."""
    if max(picture.shape[:2]) <= side:
        return picture
    smaller = Image.fromarray(picture)
    smaller.thumbnail((side, side), Image.Resampling.BICUBIC)
    return np.array(smaller)


def normalize(picture: np.ndarray, cfg: Config) -> Tensor:
    """Turn a picture, RGB, uint8, (H, W, 3), into what a backbone takes, (1, 3, H, W).

    The config's data preprocessor has the mean, the deviation and the channel order.
    """
    settings = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    if not (settings.get('bgr_to_rgb') or settings.get('to_rgb')):
        picture = picture[..., ::-1]  # images are read as BGR
    mean = torch.tensor(settings.get('mean', [0.0] * 3))
    std = torch.tensor(settings.get('std', [1.0] * 3))
    pixels_HW3 = torch.from_numpy(np.ascontiguousarray(picture)).float()
    return ((pixels_HW3 - mean) / std).permute(2, 0, 1).unsqueeze(0)
