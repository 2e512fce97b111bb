"""The kernels that compute a whole block, against float64; see test_kernels.py."""

import json
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmrsir.models.order import fill_windows

pytest.importorskip('triton')

from mmrsir.models import fused_kernels, kernels

from ..helpers.triton_kernels import (
    MULTIPROCESSORS,
    compile_launches,
    run_interpreted,
    teach_bfloat16,
)

EPS = 1e-5
# Multiples of N, others, less than N and N + 1.
LENGTHS = {4: (12, 10, 3, 5), 49: (98, 60, 30, 50)}
TOLERANCE = {'float32': 1e-5, 'float16': 4e-3, 'bfloat16': 4e-2}


class Case(NamedTuple):
    batch_size: int
    num_tokens: int
    window_tokens: int
    channels: int
    num_heads: int
    dtype: str = 'float32'  # of the weights
    layout: str = 'plain'  # of tokens and places

    def __str__(self) -> str:
        return '-'.join(map(str, self))

    @property
    def token_dtype(self) -> torch.dtype:
        """Under autocast tokens stay in float32."""
        return torch.float32 if self.layout == 'autocast' else getattr(torch, self.dtype)


CASES = [
    Case(batch_size, num_tokens, window_tokens, channels, num_heads)
    for window_tokens, lengths in LENGTHS.items()
    for num_tokens in lengths
    for batch_size, channels, num_heads in ((1, 32, 4), (2, 48, 3), (1, 96, 4), (2, 128, 4))
]
CASES += [Case(3, 60, 49, 64, 4, layout=layout) for layout in ('expanded', 'strided')]
CASES += [Case(1, 70, 64, 128, 2), Case(1, 1, 1, 16, 1), Case(0, 60, 49, 64, 4)]
CASES += [
    Case(2, length, 49, channels, 4, dtype, layout)
    for dtype in ('float16', 'bfloat16')
    for length, channels, layout in (
        (98, 64, 'plain'), (60, 128, 'strided'), (30, 96, 'plain'), (60, 64, 'autocast')
    )
]  # fmt: skip
GPU_CASES = [case for case in CASES if case.dtype != 'float32']


class Half(NamedTuple):
    """A half of a block: its parameters and its tokens."""

    tokens: Tensor
    parameters: list[Tensor]
    places: Tensor


def draw(case: Case, device: str, *shapes: tuple[int, ...]) -> Half:
    """Return tokens, weights of LayerNorm and of linear layers of such shapes, and places."""
    torch.manual_seed(0)
    tokens = torch.randn(case.num_tokens, case.batch_size, case.channels) + 0.5
    tokens = tokens.to(device, case.token_dtype).transpose(0, 1)
    if case.layout != 'strided':
        tokens = tokens.contiguous()
    parameters = [torch.randn(case.channels).to(case.token_dtype) for _ in range(2)]
    for shape in shapes:
        for drawn in (torch.randn(shape) * shape[1] ** -0.5, torch.randn(shape[0])):
            parameters.append(drawn.to(getattr(torch, case.dtype)))
    samples = 1 if case.layout == 'expanded' else case.batch_size
    order = torch.rand(samples, case.num_tokens).argsort(1).to(device)
    places = fill_windows(order, case.window_tokens).expand(case.batch_size, -1)
    if case.layout == 'strided':
        places = places.T.contiguous().T
    return Half(tokens, [one.to(device) for one in parameters], places)


def draw_attention(case: Case, device: str) -> Half:
    channels = case.channels
    return draw(case, device, (3 * channels, channels), (channels, channels))


def draw_mlp(case: Case, device: str) -> Half:
    channels = case.channels
    return draw(case, device, (4 * channels, channels), (channels, 4 * channels))


def attend(case: Case, half: Half) -> Tensor:
    operands = (half.places, case.num_heads, case.window_tokens, EPS)
    return fused_kernels.add_attention(half.tokens, *half.parameters, *operands)


def attended(case: Case, half: Half) -> Tensor:
    """Attend window by window in float64, with every intermediate result spelled out."""
    tokens, parameters = half.tokens.double(), [one.double() for one in half.parameters]
    norm, qkv, proj = (parameters[start : start + 2] for start in (0, 2, 4))
    result = tokens.clone()
    for sample, order in enumerate(half.places):
        rows = []
        for window in order.split(min(case.window_tokens, case.num_tokens)):
            y = F.linear(F.layer_norm(tokens[sample, window], (case.channels,), *norm, EPS), *qkv)
            q, k, v = y.unflatten(-1, (3, case.num_heads, -1)).permute(1, 2, 0, 3)
            weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
            rows.append(F.linear((weights @ v).transpose(0, 1).flatten(1), *proj))
        result[sample, order[: case.num_tokens]] += torch.cat(rows)[: case.num_tokens]
    return result


def run_mlp(half: Half) -> Tensor:
    return fused_kernels.add_mlp(half.tokens, *half.parameters, EPS)


def passed_mlp(case: Case, half: Half) -> Tensor:
    tokens, parameters = half.tokens.double(), [one.double() for one in half.parameters]
    y = F.layer_norm(tokens, (case.channels,), *parameters[:2], EPS)
    return tokens + F.linear(F.gelu(F.linear(y, *parameters[2:4])), *parameters[4:])


def measure(case: Case, device: str) -> dict[str, float]:
    """Return the largest errors of both kernels, and the change of their input."""
    errors = {}
    for name, half, run, exact in (
        ('attention', draw_attention(case, device), lambda half: attend(case, half), attended),
        ('mlp', draw_mlp(case, device), run_mlp, passed_mlp),
    ):
        before = half.tokens.clone()
        out = run(half)
        expected = exact(case, half)
        assert out.dtype == half.tokens.dtype and out.shape == half.tokens.shape
        # Results beyond 1 are as exact as their own size allows.
        error = (out - expected).abs() / expected.abs().clamp(min=1)
        errors[name] = error.amax().item() if error.numel() else 0.0
        errors['input'] = float(not torch.equal(half.tokens, before))
    return errors


def spread_of_nan() -> dict[str, list[int]]:
    """Return the tokens that a NaN reaches, and those that read it by the order."""
    # Row 0 is what a load outside of the window would read.
    case = Case(1, 10, 4, 32, 2)
    found: dict[str, list[int]] = {'window': []}
    for name, half, run in (
        ('mlp', draw_mlp(case, 'cpu'), run_mlp),
        ('attention', draw_attention(case, 'cpu'), lambda half: attend(case, half)),
    ):
        half.tokens[0, 0] = torch.nan
        found[name] = run(half)[0].isnan().any(-1).nonzero().flatten().tolist()
    for slots in torch.arange(half.places.shape[1]).split(case.window_tokens):
        if 0 in half.places[0, slots]:
            # A repeated token's own result is that of its first place.
            found['window'] += half.places[0, slots[slots < case.num_tokens]].tolist()
    found['window'].sort()
    return found


def main() -> None:
    """Print all that the tests want to know of the interpreted kernels."""
    teach_bfloat16()
    found: dict[str, Any] = {str(case): measure(case, 'cpu') for case in CASES}
    found['nan'] = spread_of_nan()
    case = Case(2, 10, 4, 32, 2)
    half = draw_attention(case, 'cpu')
    operands = (half.tokens, *half.parameters, half.places, case.num_heads, 4, EPS)
    checks = torch.library.opcheck(fused_kernels.add_attention, operands)
    half = draw_mlp(case, 'cpu')
    operands = (half.tokens, *half.parameters, EPS)
    mlp_checks = torch.library.opcheck(fused_kernels.add_mlp, operands)
    found['opcheck'] = [*checks.values(), *mlp_checks.values()]
    print(json.dumps(found))


@pytest.fixture(scope='module')
def interpreted() -> dict[str, Any]:
    """What this file prints as a program."""
    return run_interpreted('tests.test_models.test_fused_kernels')


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES, ids=str)
@pytest.mark.parametrize('what', ['attention', 'mlp'])
def test_kernel_computes_its_half_of_a_block(interpreted, case, what):
    assert interpreted[str(case)][what] < TOLERANCE[case.dtype]


@pytest.mark.slow
def test_input_is_left_as_it_was(interpreted):
    assert all(interpreted[str(case)]['input'] == 0 for case in CASES)


@pytest.mark.slow
def test_token_reaches_its_windows_and_no_padding(interpreted):
    assert interpreted['nan']['attention'] == interpreted['nan']['window']
    assert interpreted['nan']['mlp'] == [0]


@pytest.mark.slow
def test_operators_are_registered_well(interpreted):
    assert set(interpreted['opcheck']) == {'SUCCESS'}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('case', GPU_CASES, ids=str)
def test_gpu_computes_halves_of_a_block(case):
    errors = measure(case, 'cuda')
    assert max(errors['attention'], errors['mlp']) < TOLERANCE[case.dtype]
    assert errors['input'] == 0


def fit_on_the_chip(monkeypatch, case, capability, least, spill=0):
    """Compile both kernels; check what they need and how many programs run at a time."""
    monkeypatch.setattr(fused_kernels, '_capability', lambda device: divmod(capability, 10))
    for name, run in (
        ('_attention_kernel', lambda: attend(case, draw_attention(case, 'cpu'))),
        ('_mlp_kernel', lambda: run_mlp(draw_mlp(case, 'cpu'))),
    ):
        compiler = compile_launches(monkeypatch, fused_kernels, name, capability)
        run()
        limit = MULTIPROCESSORS[capability].shared_kib_a_program
        assert compiler.shared_bytes <= limit * 1024
        _registers, spilled = compiler.usage()
        assert spilled <= spill
        assert compiler.programs() * compiler.num_warps >= least


# Warps that a multiprocessor holds at least, by channels and heads.
WARPS = {(64, 4): 16, (128, 4): 8}


@pytest.mark.parametrize('capability', MULTIPROCESSORS)
@pytest.mark.parametrize(('channels', 'num_heads'), WARPS)
def test_kernels_fit_on_the_chip(monkeypatch, channels, num_heads, capability):
    case = Case(1, 98, 49, channels, num_heads, 'bfloat16')
    fit_on_the_chip(monkeypatch, case, capability, WARPS[channels, num_heads])


@pytest.mark.slow
@pytest.mark.parametrize('capability', MULTIPROCESSORS)
@pytest.mark.parametrize(
    'case',
    [
        *(Case(1, 98, 49, 128, 4, dtype, 'autocast') for dtype in ('float16', 'bfloat16')),
        *(Case(1, 98, 49, *shape, 'bfloat16') for shape in ((32, 2), (48, 3), (96, 3), (96, 4))),
        *(Case(1, 98, 64, 128, heads, 'float16') for heads in (4, 8, 16)),
    ],
    ids=str,
)
def test_kernels_of_other_shapes_fit_on_the_chip(monkeypatch, case, capability):
    # For 32 channels the compiler spills 2 registers on 8.9, so that more programs run at a time.
    fit_on_the_chip(monkeypatch, case, capability, 8, spill=8 if case.channels == 32 else 0)


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        ({}, True),
        (dict(dtype=torch.float16), True),
        (dict(dtype=torch.float32), False),  # exact products take the time of all that is saved
        (dict(channels=256), False),
        (dict(channels=120), False),  # no whole tiles
        (dict(window_tokens=65), False),
        (dict(num_heads=2), False),  # 64 channels a head
    ],
)
def test_supports(monkeypatch, change, expected):
    monkeypatch.setattr(kernels, '_runs_triton', lambda device: True)
    settings = dict(dtype=torch.bfloat16, channels=128, num_heads=4, window_tokens=49)
    assert fused_kernels.supports(torch.device('cuda'), **{**settings, **change}) is expected


if __name__ == '__main__':
    main()
