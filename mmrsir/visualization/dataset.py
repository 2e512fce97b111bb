"""Pictures of what a training sees."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.runner import set_random_seed

from ..datasets.check.loaded import check_objects
from ..utils.arguments import check_int
from .samples import draw_sample

_DEFAULT_VISUALIZERS = {
    'mmdet': 'DetLocalVisualizer',
    'mmseg': 'SegLocalVisualizer',
    'mmpretrain': 'UniversalVisualizer',
}


def visualizer_settings(cfg: Config) -> ConfigDict:
    return ConfigDict(
        {'type': _DEFAULT_VISUALIZERS[cfg.default_scope], 'name': 'visualizer'},
        **(cfg.get('visualizer') or {}),
    )


def draw_training_images(cfg: Config, number: int, out_dir: Path, seed: int = 0) -> Iterator[Path]:
    """Draw images of the training as they leave its pipeline, with their annotations.

    What a model's data preprocessor does to whole batches, such as Mixup, is not in them.
    """
    check_int('number', number, minimum=1)
    init_default_scope(cfg.default_scope)
    set_random_seed(seed)
    settings = cfg.train_dataloader.dataset
    dataset = DATASETS.build(settings)
    check_objects(settings, dataset, 'train_dataloader')
    visualizer = VISUALIZERS.build({**visualizer_settings(cfg), 'vis_backends': None})
    visualizer.dataset_meta = dataset.metainfo
    out_dir.mkdir(parents=True, exist_ok=True)
    number = min(number, len(dataset))
    for index in (one * len(dataset) // number for one in range(number)):
        packed = dataset[index]
        sample = packed['data_samples']
        if 'gt_instances' in sample and hasattr(sample.gt_instances.get('bboxes'), 'tensor'):
            # As mmdet's preprocessor does.
            sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
        out_file = out_dir / f'{index:06}_{Path(sample.get("img_path", "")).stem}.jpg'
        image = _to_rgb(packed['inputs'], cfg)
        draw_sample(visualizer, image, sample, out_file=out_file, draw_pred=False)
        yield out_file


def _to_rgb(inputs_3HW: Any, cfg: Config) -> np.ndarray:
    image = inputs_3HW.permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    settings = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    if not settings.get('rgb_to_bgr'):  # images are read as BGR, unless a model turns them to that
        image = image[..., ::-1]
    return np.ascontiguousarray(image)
