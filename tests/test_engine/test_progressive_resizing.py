"""Images grow from milestone to milestone."""

from types import SimpleNamespace

import pytest
import torch

from mmrsir.engine import ProgressiveResizeHook


def test_the_side_of_an_epoch_is_that_of_the_latest_milestone():
    hook = ProgressiveResizeHook(sides=(8, 12, 16), milestones=(2, 5))
    found = []
    for epoch in range(7):
        batch = dict(inputs=torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
        hook.before_train_iter(SimpleNamespace(epoch=epoch), 0, batch)
        found.append(tuple(batch['inputs'].shape))
    assert found == [(2, 3, side, side) for side in (8, 8, 12, 12, 12, 16, 16)]


@pytest.mark.parametrize(
    ('sides', 'milestones', 'error', 'message'),
    [
        ((8, 16), (), ValueError, 'one side more than milestones'),
        ((8, 12, 16), (5, 2), ValueError, r'milestones=\(5, 2\) must ascend'),
        ((0, 16), (2,), ValueError, r'sides\[0\]'),
        (32, (), TypeError, 'sides=32 must be a sequence'),
    ],
)
def test_settings_that_do_not_fit_are_refused(sides, milestones, error, message):
    with pytest.raises(error, match=message):
        ProgressiveResizeHook(sides, milestones)
