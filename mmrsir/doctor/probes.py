"""What has to be imported to be known; run as a script, in a process that may crash.

Its argument is the number of seconds that a probe may take. Each line of the standard input is the
name of a probe and its arguments; the answer is a line of JSON: what was found, and the error,
empty if there was none.
"""

import importlib
import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any


def probe_torch() -> dict[str, Any]:
    import torch

    return dict(
        version=torch.__version__, cuda=torch.version.cuda, gpu_usable=torch.cuda.is_available()
    )


def probe_gpu() -> dict[str, Any]:
    import torch

    torch.zeros(1, device='cuda').add(1).item()
    return dict(
        name=torch.cuda.get_device_name(), capability=list(torch.cuda.get_device_capability())
    )


def probe_module(name: str) -> dict[str, Any]:
    return dict(version=importlib.import_module(name).__version__)


def probe_library(name: str) -> dict[str, Any]:
    """Import all that a library of OpenMMLab registers, as its tools do."""
    importlib.import_module(f'{name}.utils').register_all_modules()
    return probe_module(name)


def probe_ops(device: str) -> dict[str, Any]:
    import torch
    from mmcv.ops import nms

    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device)
    nms(box, box[:, 2], 0.5)
    return {}


def probe_mmrsir() -> dict[str, Any]:
    import torch

    import mmrsir
    from mmrsir.inheritance import find_base
    from mmrsir.models.windows import kernels

    try:
        find_base('mmrsir::mask_rcnn/rsir_n_shapes.py', 'a config')
        bases = ''
    except FileNotFoundError as error:
        bases = str(error)

    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        image = torch.zeros(1, 3, 64, 64, device=device)
        mmrsir.models.RSIRTransformer('nano').to(device)(image)
        indexed = kernels is not None and kernels.supports(device, image.dtype, 49, 32)
    return dict(
        version=mmrsir.__version__,
        bases=bases,
        device=device.type,
        triton=kernels is not None,
        indexed=indexed,
        warnings=[str(each.message) for each in caught if 'Triton' in str(each.message)],
    )


def main() -> None:
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print is no answer
    sys.path[0] = str(Path(__file__).parents[2])  # mmrsir's, not this file's
    for line in sys.stdin:
        name, *arguments = line.split()
        found, error = {}, ''
        signal.alarm(int(sys.argv[1]))  # its signal ends the process, whatever that does
        try:
            found = globals()[f'probe_{name}'](*arguments)
        except BaseException as exception:  # a library may even exit
            error = f'{type(exception).__name__}: {exception}'
        signal.alarm(0)
        print(json.dumps(dict(found=found, error=error)), file=answers, flush=True)


if __name__ == '__main__':
    main()
