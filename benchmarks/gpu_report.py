"""Test and time mmrsir on a GPU: one command, a table, and all figures as JSON.

Each part is a process of its own with a limit in seconds, and the report is written after each: a
part that is slow is cut, and the others still run. First, at the same time, all is compiled and the
tests that need a GPU run; then the parts that are timed follow one after the other.

    python benchmarks/gpu_report.py --out gpu_report
    python benchmarks/gpu_report.py --tiny      # in small, also on a CPU
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from markdown_tables import markdown_table

from mmrsir.models import ARCHS
from mmrsir.utils.errors import InvalidValueError, plain_errors

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
OURS, SWIN = 'rsir_tiny', 'timm:swin_tiny_patch4_window7_224'
# Bytes that a block must move for a token, in elements a channel, with each operation fused as far
# as it goes: norm and gather 2, qkv 4, attention 4, projection 3, norm 2, MLP 5 and 6.
ELEMENTS = 26
BYTES = 2  # of an element in bfloat16
# What each compares, and its aim.
RATIOS = dict(
    floor_ratio=(
        'RSIR-T, forward / the larger of its layers alone and the time to move its bytes',
        'at most 1.35',
    ),
    forward_ratio=('timm swin_tiny / RSIR-T, forward, each in its best mode', 'at least 2.2'),
    training_ratio=(
        'timm swin_tiny / RSIR-T, training step, each in its best mode',
        'at least 1.5',
    ),
    memory_ratio=('peak memory, training step, RSIR-T / timm swin_tiny', 'at most 0.7'),
    fused_ratio=('RSIR-T compiled, forward: without fused kernels / with them', 'at least 1.05'),
)


@dataclass
class Part:
    """A command with a limit in seconds; what it writes to ``result`` goes into the report."""

    name: str
    command: list[str]
    limit: float
    result: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def file(self, folder: Path, suffix: str) -> Path:
        return folder / f'{self.name.replace(" ", "-").replace(":", "-")}{suffix}'


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_report'), help='folder')
    parser.add_argument('--minutes', type=float, default=4, help='for all parts (default: 4)')
    parser.add_argument('--tiny', action='store_true', help='one image of 64 x 64, eager, float32')
    args = parser.parse_args(argv)
    if not args.tiny and not torch.cuda.is_available():
        raise InvalidValueError('there is no GPU; --tiny tries this out on the CPU')
    end = time.monotonic() + 60 * args.minutes
    args.out.mkdir(parents=True, exist_ok=True)
    together, timed = plan(args.out.absolute(), args.tiny)
    report: dict[str, Any] = dict(
        date=datetime.now().astimezone().isoformat(timespec='seconds'),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
        torch=torch.__version__,
        minutes=args.minutes,
        tiny=args.tiny,
        parts={},
    )
    for parts in (together, *([part] for part in timed)):
        report['parts'].update(run_parts(parts, end, args.out))
        report['summary'] = summarize(report['parts'])
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (args.out / 'report.json').write_text(f'{text}\n', encoding='utf-8')
    table = markdown(report)
    (args.out / 'report.md').write_text(f'{table}\n', encoding='utf-8')
    print(table)


def plan(out: Path, tiny: bool) -> tuple[list[Part], list[Part]]:
    """Return the parts that run at the same time, and those that are timed after them."""
    work = out / 'parts'
    work.mkdir(exist_ok=True)
    size = ['--sizes', '64:1'] if tiny else ['--sizes', '224:256', '--precision', 'bf16']
    models = ['rsir_nano', SWIN] if tiny else [OURS, SWIN]

    def speed(
        names: Sequence[str],
        step: str,
        mode: str,
        limit: float,
        rounds: tuple[int, int],
        fused: bool = False,
    ) -> Part:
        name = step if len(names) > 1 else f'compile {names[0]} {step}'
        command = [sys.executable, str(FOLDER / 'benchmark.py'), *names, '--steps', step]
        part = Part(f'{name} {mode}{" fused" if fused else ""}', command, limit)
        part.environment = {'MMRSIR_FUSED_KERNELS': '1'} if fused else {}
        part.result = part.file(work, '.json')
        command += ['--modes', 'eager' if tiny else mode, *size, '--out', str(part.result)]
        command += ['--warmup', str(rounds[0]), '--repeats', str(rounds[1])]
        return part

    tests = ROOT / 'tests/test_models'
    files = [str(path) for path in sorted(tests.glob('*.py')) if 'mark.gpu' in path.read_text()]
    options = ['-q', '--noconftest', '-p', 'no:cacheprovider', '-m', 'gpu']
    if not tiny and find_spec('xdist'):
        options += ['-n', '4']
    together = [Part('tests', [sys.executable, '-m', 'pytest', *options, *files], 90)]
    if not tiny:  # what is compiled here lies in the compiler's cache for the parts that follow
        compiled = (
            ('forward', 'compiled'),
            ('training', 'compiled'),
            ('forward', 'max-autotune-no-cudagraphs'),
        )
        together += [speed([model], *way, 110, (1, 1)) for way in compiled for model in models]
        together.append(speed([OURS], 'forward', 'compiled', 110, (1, 1), fused=True))
    kernels = work / 'kernels.json'
    command = [sys.executable, str(FOLDER / 'gpu_kernels.py'), '--out', str(kernels)]
    command += ['--tiny'] if tiny else []
    interpret = {'TRITON_INTERPRET': '1'} if tiny and not torch.cuda.is_available() else {}
    rounds = (1, 1) if tiny else (3, 9)
    timed = [
        speed(models, 'forward', 'compiled', 75, rounds),
        speed(models, 'training', 'compiled', 90, rounds),
        Part('kernels', command, 110, kernels, interpret),
        speed(models, 'forward', 'reduce-overhead', 75, rounds),
        speed(models, 'forward', 'max-autotune-no-cudagraphs', 120, rounds),
        speed(models, 'training', 'max-autotune-no-cudagraphs', 120, rounds),
    ]
    return together, timed[:3] if tiny else timed


def run_parts(parts: Sequence[Part], end: float, out: Path) -> dict[str, Any]:
    """Run parts at the same time; return what came of each, by name.

    All must have ended at ``end``, as ``time.monotonic()`` counts.
    """
    begun = time.monotonic()
    if begun >= end:
        return {part.name: dict(state='no time left') for part in parts}
    running = []
    for part in parts:
        log = part.file(out / 'parts', '.log').open('w+')
        environment = {**os.environ, 'PYTHONUNBUFFERED': '1', **part.environment}
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running.append((part, process, log))
    found = {}
    for part, process, log in running:
        try:
            process.wait(max(0.1, min(begun + part.limit, end) - time.monotonic()))
            state = 'done' if process.returncode == 0 else f'failed with {process.returncode}'
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            state = 'cut'
        log.seek(0)
        result = None
        if part.result is not None and part.result.exists():
            result = json.loads(part.result.read_text(encoding='utf-8'))
        found[part.name] = dict(
            state=state,
            seconds=round(time.monotonic() - begun, 1),
            command=part.command[1:],
            printed=log.read().splitlines()[-40:],
            result=result,
        )
        log.close()
        print(f'{part.name}: {state}', file=sys.stderr, flush=True)
    return found


def minimal_bytes(arch: str, side: int) -> int:
    """Return the least bytes that the blocks of a model move for an image, in bfloat16."""
    settings = ARCHS[arch]
    elements = 0
    for stage, depth in enumerate(settings['depths']):
        tokens = (side // 2 ** (stage + 2)) ** 2
        elements += ELEMENTS * depth * tokens * settings['embed_dims'] * 2**stage
    return BYTES * elements


def summarize(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the models, each in the mode that is fastest for it; only what was measured."""
    rows, environment = [], {}
    for name, part in parts.items():
        if part.get('result') and 'rows' in part['result'] and not name.startswith('compile '):
            rows += part['result']['rows']
            environment = part['result']['environment']
    best: dict[tuple[str, str], Any] = {}
    for row in rows:
        key = (row['case']['step'], 'ours' if row['model'].startswith('rsir') else 'swin')
        if row['spread'] and not row['failure']:
            seconds = row['spread']['median']
            if key not in best or seconds < best[key]['spread']['median']:
                best[key] = row
    found: dict[str, Any] = {
        f'{step}, {row["model"]}': dict(
            mode=row['mode'],
            milliseconds=1000 * row['spread']['median'],
            images_per_second=row['images_per_second'],
            peak_mib=row['peak_bytes'] / 2**20,
        )
        for (step, _), row in best.items()
    }
    for step in ('forward', 'training'):
        ours, swin = best.get((step, 'ours')), best.get((step, 'swin'))
        if ours and swin:
            found[f'{step}_ratio'] = swin['spread']['median'] / ours['spread']['median']
            if step == 'training':
                found['memory_ratio'] = ours['peak_bytes'] / swin['peak_bytes']
    kernels = parts.get('kernels', {}).get('result') or {}
    ways = {row['way']: row.get('milliseconds') for row in kernels.get('forward', [])}
    if ways.get('fused') and ways.get('unfused'):
        found['fused_ratio'] = ways['unfused'] / ways['fused']
    ours = best.get(('forward', 'ours'))
    if ours and ours['floor_spread']:
        case = ours['case']
        moved = case['batch'] * minimal_bytes(ours['model'].removeprefix('rsir_'), case['height'])
        layers = ours['floor_spread']['median']
        moving = moved / (1e9 * environment['copy_gb_per_second'])
        found['layers_milliseconds'], found['moving_milliseconds'] = 1000 * layers, 1000 * moving
        found['floor_ratio'] = ours['spread']['median'] / max(layers, moving)
    return found


def markdown(report: Mapping[str, Any]) -> str:
    """Show the comparison beside its aims, and what became of each part."""
    summary = report['summary']
    comparison = 'Tried out in small (--tiny): nothing was measured.'
    if not report['tiny']:
        measured = {
            key: f'{summary[key]:.2f}' if key in summary else 'not measured' for key in RATIOS
        }
        rows = [(said, measured[key], aim) for key, (said, aim) in RATIOS.items()]
        comparison = markdown_table(['', 'measured', 'aim'], rows)
    states = [
        (name, part['state'], str(part.get('seconds', '')))
        for name, part in report['parts'].items()
    ]
    printed = report['parts'].get('tests', {}).get('printed') or ['']
    sections = (
        f'{report["device"]}, torch {report["torch"]}, {report["date"]}',
        comparison,
        markdown_table(['part', 'state', 'seconds'], states),
        f'tests: {printed[-1].strip("= ")}',
    )
    return '\n\n'.join(sections)


if __name__ == '__main__':
    with plain_errors():
        main()
