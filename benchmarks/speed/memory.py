"""Peak memory of a computation, counted by torch's allocators."""

from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile


def peak_growth(run: Callable[[], object], device: torch.device) -> int:
    """Measure the bytes that a computation takes at most, on top of what is taken already.

    It must have run before: caches are filled then.

    On a GPU these are the allocator's own statistics. On the CPU torch has none, but the
    profiler reports every allocation and release, so their running sum is the same measure:
    temporaries inside operations are in it, scratch memory of oneDNN and of compiled loops on
    the stack is not. Unlike the growth of the process it repeats to the byte.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profiled:
        run()
    taken = peak = 0
    for event in profiled.profiler.kineto_results.events():  # in the order of time
        if event.name() == '[memory]' and event.device_type() == DeviceType.CPU:
            taken += event.nbytes()
            peak = max(peak, taken)
    return peak
