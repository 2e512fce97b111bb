"""The backbone under torch.func, under forward-mode differentiation and in modes of torch."""

from copy import deepcopy

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

from mmrsir.models import PyramidTransformer
from mmrsir.models.mixers import MIXERS
from mmrsir.models.order import invert, permute, random_order

ARCH = dict(embed_dims=8, depths=(2, 1), num_heads=(2, 2))
SETTINGS = [dict(), dict(importance='cbam'), dict(with_cp=True)]
OTHERS = [dict(mixers=(name,)) for name in MIXERS if len(name) > 2]


def build(mixers=('rs', 'ir'), **settings):
    torch.manual_seed(0)
    model = PyramidTransformer(
        ARCH, mixers, window_size=3, out_indices=(0, 1), drop_path_rate=0.0, **settings
    )
    return model.double().eval()


def draw_images(batch_size=2):
    torch.manual_seed(1)
    return torch.randn(batch_size, 3, 37, 30, dtype=torch.float64)


def loss_of(model):
    def loss(parameters, images):
        levels = functional_call(model, parameters, (images,))
        return sum((level * level.detach().cos()).sum() for level in levels)

    return loss


def assert_close(actual, expected):
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize('settings', SETTINGS + OTHERS)
def test_grad_gives_what_backward_gives(settings):
    model, images = build(**settings), draw_images()
    parameters = dict(model.named_parameters())
    loss = loss_of(model)
    actual = grad(loss)(parameters, images)
    loss(parameters, images).backward()
    for name, parameter in parameters.items():
        assert_close(actual[name], parameter.grad)


@pytest.mark.parametrize('settings', SETTINGS)
def test_vmap_of_grad_gives_the_gradients_of_each_image(settings):
    model, images = build(**settings), draw_images()
    parameters = dict(model.named_parameters())
    gradient = grad(loss_of(model))
    actual = vmap(gradient, in_dims=(None, 0))(parameters, images.unsqueeze(1))
    for index in range(len(images)):
        expected = gradient(parameters, images[index : index + 1])
        for name, value in expected.items():
            assert_close(actual[name][index], value)


def test_vmap_runs_several_models_at_once():
    models = [build(), build()]
    for parameter in models[1].parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = draw_images()
    stacked = stack_module_state(models)
    base = deepcopy(models[0])
    actual = vmap(lambda *state: functional_call(base, state, (images,)))(*stacked)
    for index, model in enumerate(models):
        for level, expected in zip(actual, model(images), strict=True):
            assert_close(level[index], expected)


def test_vmap_draws_random_orders_as_it_is_told():
    model, images = build().train(), draw_images(1).expand(2, -1, -1, -1)

    def run(image):
        return model(image.unsqueeze(0))[0]

    same, different = (vmap(run, randomness=kind)(images) for kind in ('same', 'different'))
    assert_close(same[0], same[1])
    assert not torch.allclose(different[0], different[1])


@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize('forward_mode', ['jvp', 'dual_level'])
def test_forward_mode_gives_the_product_of_gradient_and_direction(settings, forward_mode):
    model, images = build(**settings), draw_images()
    direction = torch.randn_like(images)

    def loss(images):
        return sum(level.sin().sum() for level in model(images))

    if forward_mode == 'jvp':
        _, actual = jvp(loss, (images,), (direction,))
    else:
        with forward_ad.dual_level():
            actual = forward_ad.unpack_dual(loss(forward_ad.make_dual(images, direction))).tangent
    images = images.clone().requires_grad_()
    loss(images).backward()
    assert_close(actual, (images.grad * direction).sum())


def test_permute_is_right_under_every_transform():
    x, direction = torch.randn(2, 3, 7, 2, dtype=torch.float64)
    places = torch.cat([invert(random_order(3, 7, x.device)), torch.tensor([[0], [3], [5]])], 1)

    def cubes(x, places):
        return permute(x, places) ** 3

    expected = torch.stack([one[place] for one, place in zip(x, places, strict=True)])
    pushed = torch.stack([one[place] for one, place in zip(direction, places, strict=True)])
    gathered, tangent = jvp(lambda x: cubes(x, places), (x,), (direction,))
    assert torch.equal(gathered, expected**3)
    assert_close(tangent, 3 * expected**2 * pushed)
    each = vmap(lambda x, places: cubes(x.unsqueeze(0), places.unsqueeze(0))[0])(x, places)
    assert torch.equal(each, expected**3)
    pulled = grad(lambda x: (cubes(x, places) * pushed).sum())(x)
    leaf = x.clone().requires_grad_()
    (cubes(leaf, places) * pushed).sum().backward()
    assert_close(pulled, leaf.grad)


@pytest.mark.parametrize('settings', [dict(), *OTHERS])
@pytest.mark.parametrize('training', [True, False])
def test_the_default_device_of_torch_does_not_matter(settings, training):
    """With ``meta`` as default a tensor that is made without a device has no values."""
    with torch.device('meta'):
        build(**settings)
    model, images = build(**settings).train(training), draw_images()
    torch.manual_seed(2)
    expected = model(images)
    torch.manual_seed(2)
    with torch.device('meta'):
        levels = model(images)
        model.trace(images, (3, 4))
    assert all(map(torch.equal, levels, expected))


@pytest.mark.parametrize('name', [name for name in MIXERS if len(name) > 2])
def test_a_meta_model_serves_once_it_has_memory_and_weights(name):
    """Nothing that a checkpoint lacks is left without values."""
    settings = dict(mixers=(name,), window_size=3, out_indices=(0, 1))
    expected = PyramidTransformer(ARCH, **settings).eval()
    with torch.device('meta'):
        model = PyramidTransformer(ARCH, **settings).eval()
    model.to_empty(device='cpu')
    for tensor in [*model.parameters(), *model.buffers()]:
        tensor.data.fill_(1)  # what memory may hold
    model.load_state_dict(expected.state_dict(), strict=True)
    images = draw_images().float()
    assert all(map(torch.equal, model(images), expected(images)))
