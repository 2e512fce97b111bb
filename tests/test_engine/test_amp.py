"""Mixed precision on the CPU."""

import pickle
from typing import NamedTuple

import pytest
import torch
from mmdet.models.necks import ChannelMapper
from torch import nn

from mmrsir.engine.optim.amp import CPUAmpOptimWrapper, _to_float32


class Pair(NamedTuple):
    scores: torch.Tensor
    names: list


def prepared_model():
    """A model that has run once, in bfloat16, with a neck that is to give float32."""
    model = nn.Sequential(ChannelMapper([4], 4, norm_cfg=None))
    wrapper = CPUAmpOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        (level,) = model([torch.zeros(1, 4, 8, 8)])
    assert level.dtype == torch.float32
    return model


def test_a_model_that_was_trained_in_bfloat16_can_be_pickled():
    model = pickle.loads(pickle.dumps(prepared_model()))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (level,) = model([torch.zeros(1, 4, 8, 8)])
    assert level.dtype == torch.float32


@pytest.mark.parametrize(
    'nest',
    [
        lambda x: Pair(x, ['a']),
        lambda x: [(x, 'a')],
        lambda x: {'scores': x, 'names': None},
        lambda x: (Pair(x, [x]),),
    ],
)
def test_nested_tensors_are_cast_and_their_containers_stay(nest):
    actual = _to_float32(nest(torch.zeros(2, dtype=torch.bfloat16)))
    expected = nest(torch.zeros(2))
    assert type(actual) is type(expected)
    assert repr(actual) == repr(expected)


def test_other_types_are_left_alone():
    assert _to_float32(torch.zeros(1, dtype=torch.int64)).dtype == torch.int64
    assert _to_float32(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
