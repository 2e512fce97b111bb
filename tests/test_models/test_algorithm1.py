"""The fast form equals Algorithm 1 as it is written."""

import pytest
import torch

from mmrsir.models import RSIRTransformer

from ..helpers.literal import rsir_forward

ARCH = dict(embed_dims=8, depths=(2, 4), num_heads=(2, 4))


def run(forward, model, image):
    """Return outputs and the gradients of the input and of all parameters."""
    torch.manual_seed(1)  # the same random orders on both sides
    image = image.clone().requires_grad_()
    model.zero_grad()
    outputs = forward(image)
    weights = [torch.linspace(-1, 1, out.numel()).view_as(out).double() for out in outputs]
    sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True)).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return outputs, {'image': image.grad, **gradients}


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('importance', ['mean', 'cbam'])
@pytest.mark.parametrize('batch_size', [1, 3])
@pytest.mark.parametrize('size', [(56, 28), (56, 56), (61, 50), (9, 17)])  # 98+28, 196+49, ...
def test_fast_form_equals_algorithm_1(size, batch_size, importance, with_cp):
    torch.manual_seed(0)
    model = RSIRTransformer(
        ARCH, importance=importance, out_indices=(0, 1), drop_path_rate=0.0, with_cp=with_cp
    )
    model = model.double().train()
    image = torch.randn(batch_size, 3, *size, dtype=torch.float64)

    outputs, gradients = run(model, model, image)
    expected_outputs, expected_gradients = run(lambda x: rsir_forward(model, x), model, image)

    for out, expected in zip(outputs, expected_outputs, strict=True):
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    assert gradients.keys() == expected_gradients.keys()
    for name, expected in expected_gradients.items():
        assert expected is not None, name
        assert expected.abs().max() > 0 or name.endswith('qkv.bias'), name
        scale = max(1.0, expected.abs().max().item())
        difference = (gradients[name] - expected).abs().max().item()
        assert difference <= 1e-10 * scale, f'{name}: {difference}'
