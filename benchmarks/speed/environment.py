"""Machine, versions and settings of a measurement."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mmrsir.utils.processor import processor_name

from .timing import stopwatch

COPIED_BYTES = 2**28  # more than caches hold
PACKAGES = ('torch', 'timm', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'mmrsir')


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Describe where and with what a measurement runs."""
    load_average = os.getloadavg()[0]  # before the run: above 0, others use the machine too
    # Import names, as some packages come from upstream or from a fork.
    distributions = packages_distributions()
    return dict(
        device=str(device),
        gpu=torch.cuda.get_device_name(device) if device.type == 'cuda' else None,
        cpu=processor_name(),
        cores=len(os.sched_getaffinity(0)),
        threads=torch.get_num_threads(),
        copy_gb_per_second=round(copy_bandwidth(device) / 1e9, 1),
        load_average=load_average,
        memory_gib=round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
        system=platform.platform(),
        cuda=torch.version.cuda if device.type == 'cuda' else None,
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        float32_matmul_precision=torch.get_float32_matmul_precision(),
        commit=_commit(),
        versions={
            'python': platform.python_version(),
            **{name: version(distributions[name][0]) for name in PACKAGES if name in distributions},
        },
    )


def describe_device(environment: Mapping[str, Any]) -> str:
    """Name where models run."""
    return environment['gpu'] or f'{environment["cpu"]}, {environment["threads"]} threads'


def copy_bandwidth(device: torch.device) -> float:
    """Measure the bytes a second that a copy reads and writes, the bound of all but products."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    measure = stopwatch(device)
    return 2 * COPIED_BYTES / median(measure(lambda: target.copy_(source)) for _ in range(9))


def _commit() -> str | None:
    """Return the commit of this repository, with '-dirty' if files differ; None outside git."""
    command = ['git', 'describe', '--always', '--dirty', '--abbrev=12']
    folder = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
