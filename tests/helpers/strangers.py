"""Files that run code when they are loaded, and a small training to load them into."""

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader


class Call:
    """Its pickle is a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def writing(canary):
    """Code that writes the canary."""
    return f'open("{canary}","w")'


class Toy(BaseModel):
    """A model of one number."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, mode='loss'):
        return dict(loss=(self.weight * inputs).sum())


def toy_runner(work_dir):
    return Runner(
        Toy(),
        str(work_dir),
        train_dataloader=DataLoader([dict(inputs=torch.ones(1))] * 2),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
    )
