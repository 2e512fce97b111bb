"""A training that is killed again and again while it saves; test_checkpoint_files.py starts it.

Each line that it prints is a kill: the iteration that was last known to be saved, the one that can
be resumed, and whether the kill fell between the beginning and the end of saving.
"""

import json
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmrsir.checkpoints.reading import read_checkpoint
from mmrsir.engine.loops.resuming import newest_checkpoint


class Numbers(Dataset):
    """A data set of numbers."""

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        return dict(inputs=torch.full((8,), float(index)))


class Regression(BaseModel):
    """A model whose checkpoint takes a few milliseconds to write."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 1)
        self.ballast = nn.Parameter(torch.zeros(300_000), requires_grad=False)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.layer(torch.stack(inputs)).square().mean())


def train(work_dir, hook, messages):
    """Train on from the newest checkpoint, and tell when saving begins and ends."""
    resumed = newest_checkpoint(work_dir)
    runner = Runner(
        Regression(),
        work_dir=str(work_dir),
        experiment_name=f'run{os.getpid()}',
        train_dataloader=dict(
            dataset=Numbers(), batch_size=1, sampler=dict(type='InfiniteSampler', shuffle=True)
        ),
        train_cfg=dict(type='ResumableIterBasedTrainLoop', max_iters=10**6),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-9)),
        default_hooks=dict(
            checkpoint=dict(type=hook, by_epoch=False, interval=1, max_keep_ckpts=1)
        ),
        load_from=resumed and str(resumed),
        resume=resumed is not None,
        log_level='ERROR',
        env_cfg=dict(),
    )
    (saver,) = (one for one in runner.hooks if isinstance(one, CheckpointHook))
    save = saver._save_checkpoint

    def told(runner):
        os.write(messages, f'begin {runner.iter + 1}\n'.encode())
        save(runner)
        os.write(messages, f'end {runner.iter + 1}\n'.encode())

    saver._save_checkpoint = told
    runner.train()


def kill_at_random(work_dir, hook, chance):
    """Train in a process of its own and kill it a moment after it began to save."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        train(work_dir, hook, writing)
        os._exit(1)
    os.close(writing)
    saved, took, begun = 0, [], 0.0
    with os.fdopen(reading) as lines:
        for line in lines:
            word, iteration = line.split()
            if word == 'end':
                saved = int(iteration)
                took.append(time.monotonic() - begun)
            else:
                begun = time.monotonic()
                if len(took) > 2:
                    time.sleep(chance.uniform(0, 1.2 * min(took)))
                    os.kill(child, signal.SIGKILL)
                    break
        words = [line.split() for line in lines]  # what was said before the kill
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    ended = [int(iteration) for word, iteration in words if word == 'end']
    return max([saved, *ended]), not ended


def main():
    """Kill a number of times."""
    work_dir, hook, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    logging.disable(logging.CRITICAL)
    chance = random.Random(0)
    for _ in range(kills):
        saved, inside = kill_at_random(work_dir, hook, chance)
        newest = newest_checkpoint(work_dir)
        resumed = read_checkpoint(str(newest)) if newest else {}
        if not {'optimizer', 'message_hub'} <= resumed.keys():
            resumed = dict(meta=dict(iter=0))
        print(
            json.dumps(dict(saved=saved, resumable=resumed['meta']['iter'], inside=inside)),
            flush=True,
        )


if __name__ == '__main__':
    main()
