"""Time the attention kernel with other numbers of warps, and list the kernels that take longest.

python benchmarks/gpu_kernels.py --out kernels.json
TRITON_INTERPRET=1 python benchmarks/gpu_kernels.py --tiny    # in small, also on a CPU
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from speed.timing import stopwatch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from mmrsir.models import ARCHS, RSIRTransformer
from mmrsir.utils.errors import InvalidValueError, plain_errors

WINDOW = 49  # tokens
TOKENS_PER_WARP = (16, 32)  # four warps for a window, and two
WARMUP, REPEATS = 3, 9  # on a GPU; on a CPU 1 and 1
PROFILED = 3  # steps
LARGEST = 20  # kernels that are listed


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write after each part."""
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


def time_by_warps(runs: dict[str, Callable[[], Any]], device: torch.device) -> list[dict[str, Any]]:
    """Time computations with each number of warps in turn, and compare what comes out."""
    from mmrsir.models import kernels

    default, rows, measure = kernels._TOKENS_PER_WARP, [], stopwatch(device)
    try:
        for name, run in runs.items():
            seconds: dict[int, list[float]] = {number: [] for number in TOKENS_PER_WARP}
            results: dict[int, Any] = {}
            warmup, repeats = (WARMUP, REPEATS) if device.type == 'cuda' else (1, 1)
            for turn in range(warmup + repeats):
                for number in TOKENS_PER_WARP:
                    kernels._TOKENS_PER_WARP = number
                    taken = measure(partial(_keep, results, number, run))
                    if turn >= warmup:
                        seconds[number].append(taken)
            values = [
                (one[-1] if isinstance(one, tuple) else one).float() for one in results.values()
            ]
            for number, value in zip(TOKENS_PER_WARP, values, strict=True):
                error = (value - values[0]).norm() / values[0].norm()
                rows.append(
                    dict(
                        run=name,
                        warps=64 // number,
                        milliseconds=1000 * median(seconds[number]),
                        difference=error.item(),
                    )
                )
    finally:
        kernels._TOKENS_PER_WARP = default
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


def _keep(results: dict[int, Any], number: int, run: Callable[[], Any]) -> None:
    results[number] = run()


if __name__ == '__main__':
    with plain_errors():
        main()
