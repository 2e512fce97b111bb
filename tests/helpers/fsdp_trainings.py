"""The short trainings that test_fsdp.py compares, by two processes, into a folder."""

import json
from copy import deepcopy

import torch
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner, Runner

from mmrsir.engine.strategies.fsdp import FSDP2Strategy
from mmrsir.models import RSIRTransformer

DDP = dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None))
KINDS = {
    'ddp': (Runner, dict(cfg=DDP)),
    'fsdp': (FlexibleRunner, dict(strategy=dict(type=FSDP2Strategy))),
}


class Regression(BaseModel):
    """A backbone with a loss."""

    def __init__(self, **backbone):
        super().__init__()
        self.backbone = RSIRTransformer('nano', **backbone)

    def forward(self, inputs, data_samples=None, mode='loss'):
        levels = self.backbone(torch.stack(inputs))
        return {f'loss_{i}': level.exp().mean() for i, level in enumerate(levels)}


def train(work_dir, kind, epochs=1, resume=None, **backbone):
    """Train for two iterations an epoch."""
    generator = torch.Generator().manual_seed(0)
    images = [dict(inputs=torch.randn(3, 64, 64, generator=generator)) for _ in range(8)]
    runner_class, settings = KINDS[kind]
    runner = runner_class(
        Regression(**backbone),
        work_dir=str(work_dir),
        experiment_name=work_dir.name,
        train_dataloader=dict(
            dataset=images, batch_size=2, sampler=dict(type='DefaultSampler', shuffle=True)
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
            paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
            clip_grad=dict(max_norm=0.1),
        ),
        load_from=resume and str(resume),
        resume=resume is not None,
        launcher='pytorch',
        env_cfg=dict(),
        randomness=dict(seed=0, diff_rank_seed=True),
        **deepcopy(settings),
    )
    runner.train()
    return runner


def write_sizes(runner, path):
    """Write how many numbers the model has and how many of them this process keeps."""
    parameters = list(runner.model.parameters())
    states = runner.optim_wrapper.optimizer.state
    sizes = dict(
        model=sum(one.numel() for one in parameters),
        parameters=sum(one.to_local().numel() for one in parameters),
        moments=sum(states[one]['exp_avg'].to_local().numel() for one in parameters),
    )
    path.write_text(json.dumps(sizes))


def train_all(folder):
    """Run the trainings; each writes its checkpoints into a folder of its own."""
    for importance in ('mean', 'cbam'):
        train(folder / f'ddp_{importance}', 'ddp', importance=importance)
        train(folder / f'fsdp_{importance}', 'fsdp', importance=importance)
        runner = train(
            folder / f'fsdp_cp_{importance}', 'fsdp', importance=importance, with_cp=True
        )
    write_sizes(runner, folder / f'sizes_{torch.distributed.get_rank()}.json')
    for first, second in (('ddp', 'fsdp'), ('fsdp', 'ddp')):
        checkpoint = folder / f'{first}_mean/epoch_1.pth'
        train(folder / f'{first}_then_{second}', second, epochs=2, resume=checkpoint)
