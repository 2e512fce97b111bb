"""Short trainings, of each library in nano, that test_resume.py resumes at every iteration."""

import hashlib
import json

import torch
from mmengine.dist import get_rank

from mmrsir.engine import launch

from .commands import ROOT
from .configs import SHAPES as CONFIGS
from .shrink import shrink

ITERATIONS = 4  # two epochs of two


def load_config(scope, data, work_dir, launcher='none', num_workers=0):
    """Four iterations with all that is random, a checkpoint after each, and validation between."""
    arguments = [str(ROOT / CONFIGS[scope]), '--launcher', launcher]
    cfg = launch.load_config(launch.argument_parser('').parse_args(arguments))
    cfg = shrink(cfg, str(data), str(work_dir))
    cfg.model.backbone.drop_path_rate = 0.3
    cfg.train_dataloader.update(num_workers=num_workers, persistent_workers=num_workers > 0)
    processes = torch.distributed.get_world_size() if launcher == 'pytorch' else 1
    cfg.train_dataloader.dataset.indices = 4 * processes
    if scope == 'mmseg':
        cfg.train_cfg.update(max_iters=ITERATIONS, val_interval=3)
    else:
        cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1)
    if scope == 'mmpretrain':
        cfg.custom_hooks = [dict(type='EMAHook', momentum=0.5)]
    return cfg


def train(cfg, resume=None):
    """Train, and return the hash of all weights and of the optimizer's state."""
    if resume is not None:
        launch.enable_resume(cfg, str(resume))
    runner = launch.build_runner(cfg)
    runner.train()
    assert runner.iter == ITERATIONS
    digest = hashlib.sha256()
    states = runner.optim_wrapper.optimizer.state_dict()['state']
    # Statistics of BN, where it is not synchronized, are saved of the first process alone.
    model = runner.model
    tensors = list(model.parameters() if get_rank() else model.state_dict().values())
    tensors += [value for _, state in sorted(states.items()) for value in state.values()]
    for tensor in tensors:
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def train_and_resume(data, folder):
    """Train in several processes, uninterrupted and resumed; write the hashes of each process."""
    hashes = {}
    for scope in CONFIGS:
        first = folder / scope
        hashes[scope] = [train(load_config(scope, data, first, 'pytorch'))]
        cfg = load_config(scope, data, folder / f'{scope}_resumed', 'pytorch')
        hashes[scope].append(train(cfg, first / 'iter_1.pth'))
    (folder / f'hashes_{torch.distributed.get_rank()}.json').write_text(json.dumps(hashes))
