"""Two processes that share a batch get the gradients of one process."""

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from mmrsir.models import RSIRTransformer

from ..helpers.forks import run_in_two_processes


def gradients(with_cp, share=slice(None), wrap=None):
    """Return the gradients of a loss on a share of four images, in float64."""
    torch.manual_seed(0)
    backbone = RSIRTransformer('nano', with_cp=with_cp, drop_path_rate=0.0).double()
    backbone.init_weights()
    for block in backbone.modules():  # windows that all processes draw alike
        if hasattr(block, 'eval_sampling'):
            block.eval()
    images = torch.randn(4, 3, 64, 96, dtype=torch.float64)
    model = wrap(backbone) if wrap else backbone
    sum(level.square().mean() for level in model(images[share])).backward()
    return {name: one.grad for name, one in backbone.named_parameters()}


@pytest.mark.parametrize('with_cp', [pytest.param(False, marks=pytest.mark.slow), True])
def test_two_processes_get_the_gradients_of_one(tmp_path, with_cp):
    run_in_two_processes(write_gradients, tmp_path, with_cp)
    expected = gradients(with_cp)
    for rank in range(2):
        shared = torch.load(tmp_path / f'{rank}.pth', weights_only=True)
        torch.testing.assert_close(shared, expected, rtol=1e-6, atol=1e-12)


def write_gradients(folder, with_cp):
    """Compute the gradients of half of the images."""
    rank = torch.distributed.get_rank()
    shared = gradients(with_cp, slice(2 * rank, 2 * rank + 2), DistributedDataParallel)
    torch.save(shared, folder / f'{rank}.pth')
