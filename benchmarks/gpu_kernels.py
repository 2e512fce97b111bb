"""Time the attention kernel with other numbers of warps, and fused blocks beside others; list the
kernels that take longest.

python benchmarks/gpu_kernels.py --out kernels.json
TRITON_INTERPRET=1 python benchmarks/gpu_kernels.py --tiny    # in small, also on a CPU
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from speed.timing import Contender, stopwatch, take_turns
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from mmrsir.models import ARCHS, RSIRTransformer, fused_block
from mmrsir.models.order import fill_windows
from mmrsir.utils.errors import InvalidValueError, plain_errors

WINDOW = 49  # tokens
TOKENS_PER_WARP = (16, 32)  # four warps for a window, and two
WARMUP, REPEATS = 3, 9  # on a GPU; on a CPU 1 and 1
PROFILED = 3  # steps
LARGEST = 20  # kernels that are listed


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_kernels.json'))
    parser.add_argument('--tiny', action='store_true', help='RSIR-N, one image of 32 x 32, float32')
    args = parser.parse_args(argv)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if device.type == 'cpu' and not args.tiny:
        raise InvalidValueError('there is no GPU; --tiny tries this out on the CPU')
    arch, side, batch = ('nano', 32, 1) if args.tiny else ('tiny', 224, 256)
    dtype = torch.float32 if args.tiny else torch.bfloat16
    found: dict[str, Any] = dict(arch=arch, side=side, batch=batch, dtype=str(dtype))
    args.out.parent.mkdir(parents=True, exist_ok=True)

    def keep(**part: Any) -> None:
        found.update(part)
        args.out.write_text(f'{json.dumps(found, indent=2)}\n')

    keep(attention=time_attention(arch, side, batch, dtype, device))
    torch.manual_seed(0)
    model = RSIRTransformer(arch).to(device, dtype)
    images = torch.randn(batch, 3, side, side).to(device, dtype)
    network: Callable[[Tensor], Any] = model if args.tiny else torch.compile(model)
    forward, training = _forward_of(model, network, images), _training_of(model, network, images)
    keep(halves=time_halves(model, side, batch, dtype, device))
    if device.type == 'cuda':  # where the fused way is taken
        fused = partial(_fused, True, forward)
        ways = dict(unfused=partial(_fused, False, forward), fused=fused)
        keep(forward=time_in_turn(ways, device))
        keep(fused_kernels=largest_kernels(fused, device))
    keep(forward_by_warps=time_by_warps({'forward': forward}, device))
    keep(forward_kernels=largest_kernels(forward, device))
    keep(training_kernels=largest_kernels(training, device))
    print(f'wrote {args.out}')


def time_attention(
    arch: str, side: int, batch: int, dtype: torch.dtype, device: torch.device
) -> list[dict[str, Any]]:
    """Time the kernels alone, forward and backward, on random windows of each stage."""
    from mmrsir.models import kernels  # needs Triton

    rows = []
    embed_dims, heads_of = ARCHS[arch]['embed_dims'], ARCHS[arch]['num_heads']
    for stage, heads in enumerate(heads_of):
        tokens, channels = (side // 2 ** (stage + 2)) ** 2, embed_dims * 2**stage
        window = min(WINDOW, tokens)
        whole = tokens - tokens % window  # no token is repeated
        qkv = torch.randn(batch, whole, 3 * channels).to(device, dtype)
        grad = torch.randn(batch, whole, channels).to(device, dtype)
        places = torch.rand(batch, whole).argsort(1).to(device)
        operands = (places, heads, window)
        runs: dict[str, Callable[[], Any]] = {
            'forward': partial(kernels.attend_indexed, qkv, *operands),
            'backward': partial(kernels._gradient, grad, qkv, *operands),
        }
        shape = dict(tokens=whole, channels=channels, heads=heads)
        rows += [dict(stage=stage + 1, **shape, **row) for row in time_by_warps(runs, device)]
    return rows


@torch.inference_mode()
def time_halves(
    model: RSIRTransformer, side: int, batch: int, dtype: torch.dtype, device: torch.device
) -> list[dict[str, Any]]:
    """Time both halves of a block of each stage that can be fused, beside torch's operators."""
    from mmrsir.models.fused_kernels import MAX_CHANNELS

    rows = []
    for index, stage in enumerate(model.eval().stages):
        block, grid = stage.blocks[0], (side // 2 ** (index + 2),) * 2
        channels = block.norm1.normalized_shape[0]
        if channels > MAX_CHANNELS:
            break
        x = torch.randn(batch, grid[0] * grid[1], channels).to(device, dtype)
        order = torch.rand(x.shape[:2]).argsort(1).to(device)
        places = fill_windows(order, block.mixer.window_tokens)
        halves: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = dict(
            attention=(_attention, fused_block.add_attention, (block, x, places)),
            mlp=(_mlp, fused_block.add_mlp, (block, x)),
        )
        for half, (unfused, fused, operands) in halves.items():
            if device.type == 'cuda':
                unfused = torch.compile(unfused)
            ways = dict(unfused=partial(unfused, *operands), fused=partial(fused, *operands))
            shape = dict(stage=index + 1, tokens=x.shape[1], channels=channels, half=half)
            rows += [dict(**shape, **row) for row in time_in_turn(ways, device)]
    return rows


def time_by_warps(
    runs: Mapping[str, Callable[[], Any]], device: torch.device
) -> list[dict[str, Any]]:
    """Time computations with each number of warps in turn, and compare what comes out."""
    from mmrsir.models import kernels

    def with_warps(number: int, run: Callable[[], Any]) -> Any:
        kernels._tokens_per_warp = lambda *_: number
        return run()

    default, rows = kernels._tokens_per_warp, []
    try:
        for name, run in runs.items():
            ways = {f'{64 // one} warps': partial(with_warps, one, run) for one in TOKENS_PER_WARP}
            rows += [dict(run=name, **row) for row in time_in_turn(ways, device)]
    finally:
        kernels._tokens_per_warp = default
    return rows


def time_in_turn(
    ways: Mapping[str, Callable[[], Any]], device: torch.device
) -> list[dict[str, Any]]:
    """Time ways to compute the same in turn; tell how far they are from the first."""
    contenders = {name: Contender(run) for name, run in ways.items()}
    warmup, repeats = (WARMUP, REPEATS) if device.type == 'cuda' else (1, 1)
    for _ in take_turns(list(contenders.values()), warmup, repeats, stopwatch(device)):
        pass
    rows: list[dict[str, Any]] = []
    first = None
    for name, one in contenders.items():
        row: dict[str, Any] = dict(way=name, failure=one.failure)
        if one.failure is None:
            result: Any = one.run()
            value = (result[-1] if isinstance(result, tuple) else result).float()
            first = value if first is None else first
            row['milliseconds'] = 1000 * median(one.seconds)
            row['difference'] = ((value - first).norm() / first.norm()).item()
        rows.append(row)
    return rows


def largest_kernels(run: Callable[[], Any], device: torch.device) -> list[dict[str, Any]]:
    """Return the kernels of a computation that take longest, a row for each name."""
    for _ in range(WARMUP):
        run()
    on_gpu = device.type == 'cuda'
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities, acc_events=True) as profiled:
        for _ in range(PROFILED):
            run()
        if on_gpu:
            torch.cuda.synchronize()
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    events = [
        event
        for event in profiled.key_averages()
        if event.device_type == kind and not getattr(event, 'is_user_annotation', False)
    ]

    def time_of(event: Any) -> float:
        return event.self_device_time_total if on_gpu else event.self_cpu_time_total

    total = sum(map(time_of, events))
    return [
        dict(
            kernel=event.key,
            calls=event.count / PROFILED,
            milliseconds=time_of(event) / 1000 / PROFILED,
            share=time_of(event) / total,
        )
        for event in sorted(events, key=time_of, reverse=True)[:LARGEST]
    ]


def _forward_of(
    model: RSIRTransformer, network: Callable[[Tensor], Any], images: Tensor
) -> Callable[[], Any]:
    def forward() -> Any:
        model.eval()
        with torch.inference_mode():
            return network(images)

    return forward


def _training_of(
    model: RSIRTransformer, network: Callable[[Tensor], Any], images: Tensor
) -> Callable[[], Any]:
    gradients: list[Tensor] = []

    def training() -> None:
        model.train()
        maps = network(images)
        gradients.extend(torch.randn_like(one) for one in maps[len(gradients) :])
        torch.autograd.backward(maps, gradients)
        model.zero_grad()

    return training


def _attention(block: Any, x: Tensor, places: Tensor) -> Tensor:
    return x + block.mixer.mix_indexed(block.norm1(x), (1, x.shape[1]), places)


def _mlp(block: Any, x: Tensor) -> Tensor:
    return block.ffn(block.norm2(x), identity=x)


def _fused(on: bool, run: Callable[[], Any]) -> Any:
    before, fused_block.enabled = fused_block.enabled, on
    try:
        return run()
    finally:
        fused_block.enabled = before


if __name__ == '__main__':
    with plain_errors():
        main()
