"""The kernels of window attention for GPUs.

This file, as a program, runs them by Triton's interpreter, and the tests look at what it prints
(tests/helpers/triton_kernels.py). What the interpreter cannot tell is tested by compiling, which
needs no GPU, and on GPUs.
"""

import json
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from mmrsir.models.order import fill_windows

pytest.importorskip('triton')

from mmrsir.models import kernels

from ..helpers.triton_kernels import (
    MULTIPROCESSORS,
    compile_launches,
    run_interpreted,
    teach_bfloat16,
)

HEADS = 2
# Multiples of N, others, less than N and N + 1.
LENGTHS = {4: (12, 10, 3, 5), 49: (98, 60, 30, 50)}
TOLERANCE = {'float32': 1e-5, 'float16': 2e-3, 'bfloat16': 2e-2}


class Case(NamedTuple):
    batch_size: int
    num_tokens: int
    window_tokens: int
    head_dim: int
    dtype: str = 'float32'
    layout: str = 'plain'  # of the places

    def __str__(self) -> str:
        return '-'.join(map(str, self))


CASES = [
    Case(batch_size, num_tokens, window_tokens, head_dim)
    for window_tokens, lengths in LENGTHS.items()
    for num_tokens in lengths
    for batch_size, head_dim in ((1, 8), (3, 16), (1, 24), (3, 32))
]
CASES += [Case(3, 60, 49, 16, layout=layout) for layout in ('expanded', 'strided')]
CASES += [
    Case(3, length, 49, 24, dtype) for dtype in ('float16', 'bfloat16') for length in LENGTHS[49]
]
GPU_CASES = [
    *CASES,
    *(Case(3, 150, 64, 64, dtype) for dtype in TOLERANCE),  # the largest tiles
]


def draw(case: Case, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens, places and the gradient of the output; tokens and gradient have gaps."""
    torch.manual_seed(0)
    shape = (case.num_tokens, case.batch_size, HEADS * case.head_dim)
    dtype = getattr(torch, case.dtype)
    qkv = torch.randn(*shape[:2], 3 * shape[2]).to(device, dtype).transpose(0, 1)
    grad = torch.randn(shape).to(device, dtype).transpose(0, 1)

    samples = 1 if case.layout == 'expanded' else case.batch_size
    order = torch.stack([torch.randperm(case.num_tokens) for _ in range(samples)]).to(device)
    places = fill_windows(order, case.window_tokens).expand(case.batch_size, -1)
    if case.layout == 'strided':
        places = places.T.contiguous().T
    return qkv.requires_grad_(), places, grad


def reference(qkv: Tensor, places: Tensor, window_tokens: int) -> Tensor:
    """Attend window by window, with every intermediate result spelled out."""
    out = qkv.new_zeros(*qkv.shape[:2], qkv.shape[2] // 3)
    num_tokens = qkv.shape[1]
    for sample, order in enumerate(places):
        attended = []
        for window in qkv[sample, order].split(min(window_tokens, num_tokens)):
            q, k, v = window.unflatten(-1, (3, HEADS, -1)).permute(1, 2, 0, 3)
            weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
            attended.append((weights @ v).transpose(0, 1).flatten(1))
        out[sample, order[:num_tokens]] = torch.cat(attended)[:num_tokens]
    return out


def measure(case: Case, device: str) -> dict[str, float]:
    """Return the largest errors of output and gradient, and the change of the input."""
    qkv, places, grad = draw(case, device)
    before = qkv.detach().clone()
    out = kernels.attend_indexed(qkv, places, HEADS, case.window_tokens)
    (qkv_grad,) = torch.autograd.grad(out, qkv, grad)
    assert out.dtype == qkv_grad.dtype == qkv.dtype

    exact = qkv.detach().double().requires_grad_()
    expected = reference(exact, places, case.window_tokens)
    (expected_grad,) = torch.autograd.grad(expected, exact, grad.double())
    return {
        'output': (out - expected).abs().max().item(),
        'gradient': (qkv_grad - expected_grad).abs().max().item(),
        'input': (qkv - before).abs().max().item(),
    }


def spread_of_nan() -> dict[str, list[int]]:
    """Return the tokens of one window and those that a NaN in one of them reaches."""
    # Row 0 is what a load outside of the window would read.
    case = Case(1, 10, 4, 8)
    qkv, places, grad = draw(case, 'cpu')
    with torch.no_grad():
        qkv[0, 0] = torch.nan
    out = kernels.attend_indexed(qkv, places, HEADS, case.window_tokens)
    (qkv_grad,) = torch.autograd.grad(out, qkv, grad)
    windows = [set(window.tolist()) for window in places[0].split(case.window_tokens)]
    return {
        'window': sorted(set().union(*(window for window in windows if 0 in window))),
        'output': out[0].isnan().any(-1).nonzero().flatten().tolist(),
        'gradient': qkv_grad[0].isnan().any(-1).nonzero().flatten().tolist(),
    }


def main() -> None:
    """Print all that the tests want to know of the interpreted kernels."""
    teach_bfloat16()
    found: dict[str, Any] = {str(case): measure(case, 'cpu') for case in CASES}
    found['nan'] = spread_of_nan()
    qkv, places, _ = draw(Case(3, 10, 4, 8), 'cpu')
    found['opcheck'] = torch.library.opcheck(kernels.attend_indexed, (qkv, places, HEADS, 4))
    print(json.dumps(found))


@pytest.fixture(scope='module')
def interpreted() -> dict[str, Any]:
    """What this file prints as a program."""
    return run_interpreted('tests.test_models.test_kernels')


@pytest.mark.parametrize('case', CASES, ids=str)
@pytest.mark.parametrize('what', ['output', 'gradient'])
def test_kernel_computes_window_attention(interpreted, case, what):
    assert interpreted[str(case)][what] < TOLERANCE[case.dtype]


def test_input_is_left_as_it_was(interpreted):
    assert all(interpreted[str(case)]['input'] == 0 for case in CASES)


@pytest.mark.parametrize('what', ['output', 'gradient'])
def test_token_reaches_its_windows_and_no_padding(interpreted, what):
    assert interpreted['nan'][what] == interpreted['nan']['window']


def test_operator_is_registered_well(interpreted):
    assert set(interpreted['opcheck'].values()) == {'SUCCESS'}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('case', GPU_CASES, ids=str)
def test_gpu_computes_window_attention(case):
    errors = measure(case, 'cuda')
    assert max(errors['output'], errors['gradient']) < TOLERANCE[case.dtype]
    assert errors['input'] == 0


@pytest.mark.parametrize('capability', [89, 90])
@pytest.mark.parametrize(
    ('dtype', 'tf32'), [('bfloat16', True), ('float32', True), ('float32', False)]
)
def test_largest_window_fits_on_the_chip(monkeypatch, dtype, tf32, capability):
    monkeypatch.setattr(kernels, '_allows_tf32', lambda: tf32)
    case = Case(1, 100, kernels.MAX_WINDOW_TOKENS, kernels.MAX_HEAD_DIM, dtype)
    qkv, places, grad = draw(case, 'cpu')
    arguments = (qkv.detach(), places, HEADS, case.window_tokens)
    for name, run in (
        ('_attend_kernel', lambda: kernels.attend_indexed(*arguments)),
        ('_gradient_kernel', lambda: kernels._gradient(grad, *arguments)),
    ):
        compiler = compile_launches(monkeypatch, kernels, name, capability)
        run()
        assert compiler.shared_bytes <= MULTIPROCESSORS[capability].shared_kib_a_program * 1024


@pytest.mark.parametrize('capability', MULTIPROCESSORS)
@pytest.mark.parametrize(('head_dim', 'programs'), [(16, 14), (32, 7)])
def test_many_windows_of_few_channels_run_at_a_time(monkeypatch, head_dim, programs, capability):
    case = Case(1, 98, 49, head_dim, 'bfloat16')
    qkv, places, _ = draw(case, 'cpu')
    compiler = compile_launches(monkeypatch, kernels, '_attend_kernel', capability)
    kernels.attend_indexed(qkv.detach(), places, HEADS, case.window_tokens)
    _registers, spilled = compiler.usage()
    assert spilled == 0
    assert compiler.programs() >= programs


def supports(device='cuda', dtype=torch.float16, window_tokens=49, head_dim=32) -> bool:
    return kernels.supports(torch.device(device), dtype, window_tokens, head_dim)


@pytest.mark.parametrize(
    ('cuda', 'capability', 'change', 'expected'),
    [
        ('13.0', (8, 0), {}, True),
        ('13.0', (9, 0), {'window_tokens': 64, 'head_dim': 64, 'dtype': torch.float32}, True),
        ('13.0', (8, 0), {'device': 'cpu'}, False),
        ('13.0', (8, 0), {'dtype': torch.float64}, False),
        ('13.0', (8, 0), {'window_tokens': 65}, False),
        ('13.0', (8, 0), {'head_dim': 65}, False),
        ('13.0', (7, 5), {}, False),
        (None, (9, 0), {}, False),  # ROCm
    ],
)
def test_supports(monkeypatch, cuda, capability, change, expected):
    kernels._tried.cache_clear()
    monkeypatch.setattr(kernels, '_try', lambda device: None)
    monkeypatch.setattr(torch.version, 'cuda', cuda)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
    assert supports(**change) is expected


def test_without_a_compiler_the_kernel_is_left_out_with_a_warning(monkeypatch):
    def no_compiler(device):
        raise RuntimeError('Failed to find C compiler.')

    kernels._tried.cache_clear()
    monkeypatch.setattr(kernels, '_try', no_compiler)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (8, 0))
    with pytest.warns(UserWarning, match='attention takes longer: .*Failed to find C compiler'):
        assert not supports()
    assert not supports()  # and is not tried again


def test_compiled_code_asks_for_support(monkeypatch):
    kernels._tried.cache_clear()
    monkeypatch.setattr(kernels, '_try', lambda device: None)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    opaque = torch.compiler.disable(lambda device=None: (8, 0))  # Dynamo asks, too
    monkeypatch.setattr(torch.cuda, 'get_device_capability', opaque)
    asks = torch.compile(lambda x: x + supports(), backend='eager', fullgraph=True)
    assert asks(torch.zeros(())) == 1


@pytest.mark.parametrize('precision', ['tf32', 'ieee', 'none'])
def test_precision_of_products_follows_torch(monkeypatch, precision):
    monkeypatch.setattr(torch.backends.cuda, 'matmul', SimpleNamespace(fp32_precision=precision))
    assert kernels._allows_tf32() == (precision == 'tf32')


if __name__ == '__main__':
    main()
