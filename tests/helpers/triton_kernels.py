"""Triton kernels without a GPU: run by Triton's interpreter, or compiled and looked at.

Whether the interpreter runs a kernel is settled when the kernel is defined. So one process of its
own does all of it, a test file as a program, and the tests look at what it prints.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime import interpreter

TYPES = {
    torch.float32: '*fp32',
    torch.float16: '*fp16',
    torch.bfloat16: '*bf16',
    torch.int64: '*i64',
}


class Multiprocessor(NamedTuple):
    """What the programs of a GPU share, by NVIDIA's tables."""

    shared_kib: int
    shared_kib_a_program: int
    warps: int
    programs: int


MULTIPROCESSORS = {  # by compute capability
    80: Multiprocessor(164, 163, 64, 32),
    89: Multiprocessor(100, 99, 48, 24),
    90: Multiprocessor(228, 227, 64, 32),
}


def run_interpreted(module: str) -> dict[str, Any]:
    """Run a test file as a program in which Triton's kernels run on the CPU."""
    environment = {**os.environ, 'TRITON_INTERPRET': '1', 'CUDA_VISIBLE_DEVICES': ''}
    root = Path(__file__).parents[2]
    command = (sys.executable, '-m', module)
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def teach_bfloat16() -> None:
    """Let the interpreter compute with bfloat16, which it keeps as integers.

    It multiplies these integers, and cuts numbers off where a GPU rounds them.
    """
    multiply, convert = interpreter.InterpreterBuilder.create_dot, interpreter._convert_float
    float32, bfloat16 = triton.language.float32, triton.language.bfloat16

    def converted(data: np.ndarray, before: Any, after: Any, mode: Any) -> np.ndarray:
        if (before, after) == (bfloat16, float32):
            return (data.astype(np.uint32) << 16).view(np.float32)
        if (before, after) == (float32, bfloat16):
            rounded = torch.from_numpy(data.copy()).to(torch.bfloat16)
            return rounded.view(torch.uint16).numpy()
        return convert(data, before, after, mode)

    def widened(handle: Any) -> Any:
        if handle.dtype.scalar != bfloat16:
            return handle
        return interpreter.TensorHandle(converted(handle.data, bfloat16, float32, None), float32)

    def multiplied(builder: Any, a: Any, b: Any, *rest: Any) -> Any:
        return multiply(builder, widened(a), widened(b), *rest)

    interpreter._convert_float = converted
    interpreter.InterpreterBuilder.create_dot = multiplied


class Compiler:
    """Stands in for a kernel: compiles it for a GPU instead of launching it."""

    def __init__(self, kernel: Any, capability: int) -> None:
        self.kernel = kernel
        self.capability = capability

    def __getitem__(self, grid: tuple[int]) -> Any:
        return self.compile

    def compile(self, *args: Any, num_warps: int, num_stages: int = 3, **constants: Any) -> None:
        """Compile for such arguments, whose tensors begin at multiples of 16 bytes."""
        types = [
            TYPES[arg.dtype] if isinstance(arg, Tensor) else {int: 'i32', float: 'fp32'}[type(arg)]
            for arg in args
        ]
        types += ['constexpr'] * len(constants)
        signature = dict(zip(self.kernel.arg_names, types, strict=True))
        aligned = {
            (place,): [['tt.divisibility', 16]]
            for place, arg in enumerate(args)
            if isinstance(arg, Tensor)
        }
        source = triton.compiler.ASTSource(self.kernel, signature, constants, aligned)
        options = dict(num_warps=num_warps, num_stages=num_stages)
        self.num_warps = num_warps
        self.compiled = triton.compile(source, GPUTarget('cuda', self.capability, 32), options)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a program."""
        return self.compiled.metadata.shared

    def usage(self) -> tuple[int, int]:
        """Return the registers of a thread, and the bytes that it spills."""
        tool = Path(triton.__file__).parent / 'backends/nvidia/bin/cuobjdump'
        if not tool.exists():
            pytest.skip(f'{tool} reads the registers of a kernel, and is not there')
        with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
            file.write(self.compiled.asm['cubin'])
            file.flush()
            command = (str(tool), '-res-usage', file.name)
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        registers, stack = (re.search(rf'{key}:(\d+)', printed) for key in ('REG', 'STACK'))
        assert registers is not None and stack is not None, printed
        return int(registers[1]), int(stack[1])

    def programs(self) -> int:
        """Return how many programs run on a multiprocessor at a time."""
        registers, _ = self.usage()
        limits = MULTIPROCESSORS[self.capability]
        return min(
            65536 // (-(-registers // 8) * 8 * 32 * self.num_warps),
            limits.shared_kib * 1024 // (self.shared_bytes + 1024),
            limits.warps // self.num_warps,
            limits.programs,
        )


def compile_launches(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, capability: int
) -> Compiler:
    """Compile a kernel of a module wherever it would be launched."""
    compiler = Compiler(getattr(module, name), capability)
    monkeypatch.setattr(module, name, compiler)
    return compiler
