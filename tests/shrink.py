"""Make any config a matter of seconds, by rules that know no config by name."""

from typing import Any

from mmengine.config import Config

from mmrsir.models import ARCHS

BATCH_SIZE = 2
ITERATIONS = 2
COUNT_KEYS = ('max_per_img', 'nms_pre', 'num')  # proposals and samples
PIXEL_KEYS = ('scale', 'scales', 'crop_size', 'size')
SMALLEST_IMAGE = 100


def shrink(cfg: Config, data: str, work_dir: str) -> Config:
    """Return a config of the same parts with few blocks, small images and two iterations.

    Args:
        cfg: The config; not changed.
        data: Folder that stands in for ``data``.
        work_dir: Folder of the run.
    """
    small = Config(_shrink_values(cfg.to_dict(), data))
    small.work_dir = small.experiment_name = work_dir
    small.visualizer.name = work_dir
    small.randomness.seed = 0
    small.default_hooks.logger.interval = 1
    small.default_hooks.checkpoint.update(interval=10**6, save_last=False)
    for part in ('train', 'val', 'test'):
        loader = small[f'{part}_dataloader']
        loader.update(batch_size=BATCH_SIZE, num_workers=0, persistent_workers=False)
        dataset = loader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        dataset.indices = BATCH_SIZE * ITERATIONS if part == 'train' else BATCH_SIZE
    if 'max_iters' in small.train_cfg:
        small.train_cfg.update(max_iters=ITERATIONS, val_interval=ITERATIONS)
    else:
        for scheduler in small.param_scheduler:  # each ends with the whole run if it does not say
            scheduler.setdefault('end', cfg.train_cfg.max_epochs)
        small.train_cfg.update(max_epochs=1, val_interval=1)
    return small


def _shrink_values(value: Any, data: str, key: str = '') -> Any:
    if key == 'arch':
        arch = ARCHS[value] if isinstance(value, str) else value
        return dict(arch, depths=tuple(min(depth, 2) for depth in arch['depths']))
    if isinstance(value, dict):
        return {name: _shrink_values(one, data, name) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_shrink_values(one, data, key) for one in value)
    if isinstance(value, str) and value.startswith('data/'):
        return data + value.removeprefix('data')
    if key == 'score_thr':  # all scores are low after two iterations
        return 0.0
    if key in COUNT_KEYS:
        return min(value, 20)
    if key in PIXEL_KEYS and isinstance(value, int) and value > SMALLEST_IMAGE:
        return max(SMALLEST_IMAGE, value // 6)
    return value
