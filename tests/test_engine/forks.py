"""Processes that start at once: forks of one that has imported what most of a start goes into."""

import atexit
import gc
import multiprocessing
import os
import random
import runpy
import socket
import sys
import tempfile
import time
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
PRELOADED = (
    'imgaug matplotlib.pyplot mmcv.ops mmengine.runner numba scipy.stats sklearn.metrics timm '
    'torch._dynamo torchvision'
)
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(PRELOADED.split())


def environment():
    """Return the environment of a process of a test."""
    return {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'PORT': free_port()}


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def run_script(*command, timeout):
    """Run a Python script as ``python`` does; return the exit code and the output."""
    return _fork(_script, [str(part) for part in command], [environment()], timeout)


def run_in_two_processes(function, *arguments, timeout=300):
    """Call a function in both processes of a group of torch.distributed."""
    shared = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port(), WORLD_SIZE='2')
    environments = [
        {**environment(), **shared, 'RANK': rank, 'LOCAL_RANK': rank} for rank in ('0', '1')
    ]
    code, output = _fork(_grouped, (function, arguments), environments, timeout)
    assert code == 0, output[-5000:]


def _fork(target, arguments, environments, timeout):
    """Run a process for each environment; end all where one fails or the time is over."""
    deadline = time.monotonic() + timeout
    with tempfile.NamedTemporaryFile() as file:
        processes = {}
        for one in environments:
            process = CONTEXT.Process(target=_begin, args=(file.name, one, target, arguments))
            process.start()
            processes[process.sentinel] = process
        running = dict(processes)
        while running:
            ended = wait(running, max(0.0, deadline - time.monotonic()))
            codes = [running.pop(sentinel).exitcode for sentinel in ended]
            if not ended or any(codes):
                for process in running.values():
                    process.kill()
        for process in processes.values():
            process.join()
        output = Path(file.name).read_text()
    return next((one.exitcode for one in processes.values() if one.exitcode), 0), output


def _begin(output, variables, target, arguments):
    """Be a process that Python started, apart from what it has imported."""
    with Path(output).open('ab') as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(ROOT)
    torch.set_num_threads(1)
    for seed in (random.seed, np.random.seed, torch.seed):  # a fork repeats its parent's draws
        seed()
    try:
        target(*arguments)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


def _script(*command):
    sys.argv = list(command)
    sys.path[0] = str(Path(command[0]).parent)
    runpy.run_path(command[0], run_name='__main__')


def _grouped(function, arguments):
    torch.distributed.init_process_group('gloo', timeout=timedelta(minutes=2))
    function(*arguments)
    gc.collect()  # what holds the group goes before it
    torch.distributed.destroy_process_group()
