"""Processes that start at once: forks of one that has imported what most of a start goes into."""

import atexit
import faulthandler
import gc
import multiprocessing
import os
import random
import runpy
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
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
    return {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'}


def free_port():
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def run_script(*command, timeout, folder=ROOT):
    """Run a Python script in a folder as ``python`` does; return the exit code and the output."""
    command = [str(part) for part in (folder, *command)]
    return _fork(_script, command, [environment()], timeout)


def run_in_two_processes(function, *arguments, timeout=300):
    """Call a function in both processes of a group of torch.distributed."""
    with tempfile.TemporaryDirectory() as folder:
        meeting = f'file://{folder}/meeting'
        shared = {**environment(), 'WORLD_SIZE': '2'}
        environments = [{**shared, 'RANK': rank, 'LOCAL_RANK': rank} for rank in ('0', '1')]
        whole = (meeting, function, arguments)
        code, output = _fork(_grouped, whole, environments, timeout)
    assert code == 0, output[-5000:]


def _fork(target, arguments, environments, timeout):
    """Run a process for each environment; end all where one fails or the time is over."""
    deadline = time.monotonic() + timeout
    with tempfile.NamedTemporaryFile() as file:
        processes = [
            CONTEXT.Process(target=_begin, args=(file.name, one, timeout, target, arguments))
            for one in environments
        ]
        try:
            for process in processes:
                process.start()
            running = list(processes)
            while running and not any(one.exitcode for one in processes):
                ended = wait([one.sentinel for one in running], deadline - time.monotonic())
                if not ended:
                    break
                running = [one for one in running if one.sentinel not in ended]
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # and what it has started
                process.join()
        output = Path(file.name).read_text()
    return next((one.exitcode for one in processes if one.exitcode), 0), output


def _begin(output, variables, timeout, target, arguments):
    """Be like a process that Python started, apart from what it has imported."""
    os.setsid()
    with Path(output).open('ab') as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    gc.freeze()
    faulthandler.dump_traceback_later(timeout - 5)
    multiprocessing.set_start_method(None, force=True)
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


def _script(folder, *command):
    os.chdir(folder)
    sys.argv = list(command)
    sys.orig_argv = [sys.executable, *command]
    named = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    elsewhere = [path for path in sys.path if path in named or path not in ('', str(ROOT))]
    sys.path[:] = [str(Path(command[0]).parent), *elsewhere]
    runpy.run_path(command[0], run_name='__main__')


def _grouped(meeting, function, arguments):
    torch.distributed.init_process_group(
        'gloo',
        init_method=meeting,
        rank=int(os.environ['RANK']),
        world_size=2,
        timeout=timedelta(minutes=2),
    )
    function(*arguments)
    gc.collect()  # what holds the group goes before it
    torch.distributed.destroy_process_group()
