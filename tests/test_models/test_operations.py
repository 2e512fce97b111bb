"""What a block costs in operations that are no arithmetic: sorts, gathers, copies.

These counts must not grow back. B batch, L tokens, C channels.
"""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmrsir.models import RSIRTransformer

ARCH = dict(embed_dims=8, depths=(2, 4), num_heads=(1, 2))
BLOCKS, STAGES = 6, 2
RANDOM = IMPORTANT = BLOCKS // 2
BATCH = 2
SDPA = '_scaled_dot_product_flash_attention_for_cpu'
WATCHED = (
    *('sort', 'topk', 'randperm', 'rand', 'gather', 'index_select', 'index', 'take', 'roll'),
    *('scatter_', 'scatter_add_', 'index_add_', 'index_put_', 'repeat', 'pad', 'constant_pad_nd'),
    *('clone', 'copy_', '_to_copy', 'cat', 'stack', 'bmm', 'masked_fill', SDPA),
)
# Of integers, (B, L): the sequence of windows (index_select), its places (gather, where the
# tokens are not in raster order yet), the inverse (scatter_). Of the map, (B, L): back to raster
# order (gather).
ORDERS = dict(
    sort=IMPORTANT,
    index_select=BLOCKS,
    gather=BLOCKS - STAGES + IMPORTANT,
    scatter_=BLOCKS,
)
# Of tokens, (B, L, C): into the windows of each block, and back where a stage ends.
MOVES = BLOCKS + STAGES
IMAGE, OUTPUTS = 1, STAGES  # copies into another layout


class Operations(TorchDispatchMode):
    """Counts operations by name, and notes how many elements a gather gives at most."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()
        self.gathered = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in WATCHED:
            self.calls[name] += 1
        if name == 'gather':
            self.gathered = max(self.gathered, out.numel())
        return out


def count(size, training, backward=False):
    """Return what a forward pass, or its backward pass, calls."""
    model = RSIRTransformer(ARCH, out_indices=(0, 1), drop_path_rate=0.0).train(training)
    image = torch.randn(BATCH, 3, *size)
    with torch.set_grad_enabled(training):
        outputs = model(image)  # fixed orders are made at the first call
        with Operations() as operations:
            outputs = model(image)
    if backward:
        loss = sum(out.sum() for out in outputs)
        with Operations() as operations:
            loss.backward()
    return operations


SIZES = pytest.mark.parametrize('size', [(56, 112), (60, 100)])  # whole and partial windows


@SIZES
def test_inference(size):
    operations = count(size, training=False)
    expected = Counter(ORDERS)
    expected.update({SDPA: BLOCKS, 'index_select': MOVES, 'clone': IMAGE + OUTPUTS})
    assert operations.calls <= expected  # of each no more
    assert operations.gathered < 2 * BATCH * size[0] * size[1] // 16  # no index over channels


@SIZES
def test_training(size):
    operations = count(size, training=True)
    expected = Counter(ORDERS)
    expected.update({'rand': RANDOM, 'sort': RANDOM})  # one sort of all samples draws their orders
    expected.update({SDPA: BLOCKS, 'index_select': MOVES, 'clone': IMAGE + OUTPUTS})
    assert operations.calls <= expected  # of each no more
    assert operations.gathered < 2 * BATCH * size[0] * size[1] // 16  # no index over channels


@SIZES
def test_backward_gathers_once_where_forward_gathered(size):
    calls = count(size, training=True, backward=True).calls
    assert 0 < calls['index_select'] <= MOVES
    assert calls['sort'] == calls['gather'] == calls['scatter_add_'] == calls['index_put_'] == 0
    assert calls['scatter_'] <= MOVES  # inverses, of integers
