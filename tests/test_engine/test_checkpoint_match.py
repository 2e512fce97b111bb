"""A checkpoint that leaves a part of the model random is no model to test."""

from types import SimpleNamespace

import pytest
from mmengine.runner import BaseLoop
from torch import nn

from mmrsir.checkpoints.reading import CheckpointMismatchError
from mmrsir.engine.hooks.checkpoint_match import CheckpointMatchHook


class Loop(BaseLoop):
    """A loop that was built."""

    def __init__(self):
        pass

    def run(self):
        pass


class Model(nn.ModuleDict):
    """A large backbone and small heads."""

    def __init__(self, num_classes):
        super().__init__()
        self.update(
            dict(
                backbone=nn.Linear(100, 100),
                head=nn.Linear(1, num_classes),
                auxiliary_head=nn.Linear(1, num_classes),
            )
        )


def load(weights, is_training=False, min_matched=0.9):
    runner = SimpleNamespace(model=Model(4), _train_loop=Loop() if is_training else {})
    CheckpointMatchHook(min_matched).after_load_checkpoint(runner, dict(state_dict=weights))


def without(part):
    return {key: value for key, value in Model(4).state_dict().items() if not key.startswith(part)}


@pytest.mark.parametrize('weights', [Model(5).state_dict(), without('head')])
def test_a_test_refuses_a_checkpoint_without_a_head_and_a_training_takes_it(weights):
    with pytest.raises(CheckpointMismatchError, match=r'no weights for head\.weight, head\.bias'):
        load(weights)
    load(weights, is_training=True)
    load(weights, min_matched=0)


def test_a_test_does_without_auxiliary_heads():
    load(without('auxiliary_head'))
