"""Pictures of a config's data, and what an exported part takes of them."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from ..apis import Predictor
from ..datasets.loading.reading import Reading
from ..utils.errors import InvalidValueError
from ..visualization.backbone import read_picture


def config_pictures(cfg: Config, split: str, number: int) -> Iterator[np.ndarray]:
    """Yield pictures of a split, so many at most and evenly spread: RGB, uint8, (H, W, 3)."""
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise InvalidValueError(
            f'the config has no {split}_dataloader: the export needs its pictures. Add one, or use '
            '--part backbone'
        )
    init_default_scope(cfg.default_scope)
    with redirect_stdout(StringIO()):  # pycocotools tells what it does
        dataset: Any = DATASETS.build(loader.dataset)
    count = min(number, len(dataset))
    for index in np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist():
        path = dataset.get_data_info(index).get('img_path')
        if path is None:
            raise InvalidValueError(
                f'{type(dataset).__name__} of {split}_dataloader has no image files: the export '
                'needs some. Name another data set in the config'
            )
        yield read_picture(path, reading=Reading.of_config(cfg))


def prepare(predictor: Predictor, picture: np.ndarray) -> dict[str, torch.Tensor]:
    """Return what an exported part takes of a picture, RGB, uint8, (H, W, 3), by name.

    That is ``images``, and for detectors ``size`` and ``scale`` too, see
    :meth:`.detector.Detector.forward`.
    """
    with torch.no_grad():
        batch = predictor.model.data_preprocessor(predictor.preprocess(picture), False)
    inputs = dict(images=batch['inputs'])
    if predictor.cfg.default_scope == 'mmdet':
        meta = batch['data_samples'][0].metainfo
        inputs['size'] = torch.tensor(meta['img_shape'][:2]).float()
        inputs['scale'] = torch.tensor(meta['scale_factor'][::-1]).float()
    return inputs
