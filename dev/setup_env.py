"""Makes .venv: the environment that `make demo`, `make test` and `make lint` run in.

Run by the system's Python, with nothing but its standard library. What is done is not done again:
an interrupted run resumes, a finished one takes no time. pip keeps its own configuration (index,
certificates, proxy); all versions stand in requirements/.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, NamedTuple, Sequence

from setup_checks import (
    ROOT,
    all_problems,
    installed_version,
    pinned_version,
    python_problem,
    remarks,
)

VENV = ROOT / '.venv'
SECONDS_BETWEEN_LINES = 15.0
LOG_LINES_SHOWN = 25
IMPORT_ALL = """
import mmcv.ops, mmdet, mmengine, mmpretrain, mmseg, torch
modules = (torch, mmengine, mmcv, mmdet, mmseg, mmpretrain)
print('note:', ', '.join(f'{module.__name__} {module.__version__}' for module in modules))
"""
REMEDIES = {
    'No space left on device': 'The disk is full: make room, then run the same command again.',
    'Killed signal terminated': 'Memory ran out: run the same command again with MAX_JOBS=1 set.',
    'CERTIFICATE_VERIFY_FAILED': 'pip does not trust the index: `pip config set global.cert FILE`.',
    'name resolution|NewConnectionError|timed out|ProxyError|ConnectionReset|IncompleteRead': (
        'The network failed: see `pip config list` for the index and proxy that pip uses, then run '
        'the same command again; it resumes.'
    ),
    'No matching distribution found': (
        'The package index lacks that version for this Python and system: see `pip config list` '
        'for the index that pip uses.'
    ),
    r'libGL\.so\.1': 'OpenCV misses libGL.so.1: remove .venv and run the same command again.',
}


class StepFailedError(Exception):
    """A command of a step ended with an error."""


class Step(NamedTuple):
    """A part of the set-up: what it is, how long it may take, its commands."""

    title: str
    duration: str
    commands: Sequence[Sequence[str]]


def fingerprint(requirements: Path) -> str:
    """Changes when any line of the requirements does."""
    digest = hashlib.sha256()
    for file in sorted(requirements.glob('*.txt')):
        digest.update(f'{file.name}\n{file.read_text(encoding="utf-8")}\n'.encode())
    return digest.hexdigest()


def finished_state(python: str) -> dict[str, str]:
    """What setup.json says of a finished environment for this Python in this place."""
    return {'root': str(ROOT), 'python': python, 'requirements': fingerprint(ROOT / 'requirements')}


def read_state(venv: Path) -> dict[str, str]:
    """What setup.json says of the environment; empty where this tool did not make it."""
    try:
        state: dict[str, str] = json.loads((venv / 'setup.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return state


def write_state(venv: Path, state: dict[str, str]) -> None:
    """Replaces setup.json in one go."""
    partial = venv / 'setup.json.partial'
    partial.write_text(json.dumps(state, indent=1), encoding='utf-8')
    partial.replace(venv / 'setup.json')


def python_of(venv: Path) -> str | None:
    """The version of the environment's Python, such as '3.11'; None if it does not run."""
    script = "import sys; print('{}.{}'.format(*sys.version_info))"
    command = [str(venv / 'bin' / 'python'), '-c', script]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def existing_venv_problem(venv: Path, python: str) -> str | None:
    """Why an environment that is there cannot be completed; it may hold work, so it is kept."""
    present = python_of(venv)
    root = read_state(venv).get('root', str(ROOT))
    if present in (None, python) and root == str(ROOT):
        return None
    return (
        f'.venv was made for Python {present} in {root}, this is Python {python} in {ROOT}: '
        'remove or rename .venv first.'
    )


def clear_remains(venv: Path) -> None:
    """Removes what an interrupted run left half done, so that the next one does it again."""
    if venv.exists() and python_of(venv) is None:
        print('.venv holds no Python that runs: making it anew.')
        shutil.rmtree(venv)
    shutil.rmtree(venv / 'tmp', ignore_errors=True)
    # pip writes RECORD last: a package without it is incomplete, yet pip would count it as there.
    for info in venv.glob('lib/python3*/site-packages/*.dist-info'):
        if not (info / 'RECORD').exists():
            shutil.rmtree(info)


def make_steps(venv: Path) -> list[Step]:
    """The set-up in order: mmcv is compiled against torch, so torch comes first."""
    python = str(venv / 'bin' / 'python')
    files = {file.stem: str(file) for file in (ROOT / 'requirements').glob('*.txt')}
    # All pins hold in every step, lest a later one replaces what an earlier one brought along.
    pins = [argument for file in files.values() for argument in ('-c', file)]
    install = [python, '-m', 'pip', 'install', *pins]
    base = getattr(sys, '_base_executable', sys.executable)
    create = [] if installed_version('pip', venv) else [[base, '-m', 'venv', str(venv)]]
    packages = ('mmcv', 'openmmlab', 'app', 'dev', 'docs')
    everything = [argument for name in packages for argument in ('-r', files[name])]
    # Both OpenCV packages write the folder cv2. The headless one, which does without libGL.so.1,
    # has to come second for its files to stay.
    opencv = f'opencv-python=={pinned_version("opencv-python")}'
    return [
        Step(
            'virtual environment and build tools',
            'under a minute',
            [*create, [*install, '-r', files['build']]],
        ),
        Step('torch', '1 to 10 minutes: downloads 2.5 GB', [[*install, '-r', files['torch']]]),
        Step(
            "mmcv's compiled ops",
            '2 to 4 minutes on 2 cores, seconds if they are in the cache',
            [[python, str(ROOT / 'dev' / 'build_mmcv.py')]],
        ),
        Step(
            'OpenMMLab and the development tools',
            '1 to 3 minutes: downloads 0.4 GB',
            [[*install, '--no-deps', opencv], [*install, '--no-build-isolation', *everything]],
        ),
        Step(
            'mmrsir itself, and a check that everything imports',
            'under a minute',
            [
                [*install, '--no-deps', '--no-build-isolation', '--editable', str(ROOT)],
                [python, '-m', 'pip', 'check'],
                [python, '-W', 'ignore', '-c', IMPORT_ALL],
            ],
        ),
    ]


def log_tail(log: Path, lines: int) -> list[str]:
    """The last lines of the log that are not empty."""
    with log.open('rb') as file:
        file.seek(max(0, log.stat().st_size - 200 * (lines + 20)))
        text = file.read().decode('utf-8', errors='replace')
    return [line for line in re.split(r'[\r\n]+', text) if line.strip()][-lines:]


def clock(seconds: float) -> str:
    """Minutes and seconds, such as 2:05."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def show_progress(seconds: float, log: Path) -> None:
    """Says how long a command has run and what it does: in place on a terminal, else in a line."""
    last = ''.join(log_tail(log, 1)).strip()
    last = re.sub(r'^\[(\d+)/(\d+)\] .*', r'\1 of \2 files compiled', last)
    text = f'      {clock(seconds)}  {last}'
    text = text[: shutil.get_terminal_size((120, 24)).columns - 1]
    on_terminal = sys.stdout.isatty()
    print(f'\r\033[K{text}' if on_terminal else text, end='' if on_terminal else '\n', flush=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a command and all that it started."""
    for ending in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, ending)
            process.wait(timeout=5)


def run_logged(command: Sequence[str], log: Path, lock: int) -> None:
    """Runs a command with its output in the log and shows its progress.

    The command holds the lock as well: should this process be killed outright, the next run waits
    for what is left of this one.
    """
    environment = dict(os.environ, TMPDIR=str(log.parent / 'tmp'), PYTHONUNBUFFERED='1')
    interval = 0.2 if sys.stdout.isatty() else SECONDS_BETWEEN_LINES
    started = time.monotonic()
    with log.open('ab') as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
            pass_fds=[lock],
        )
    try:
        while process.poll() is None:
            try:
                process.wait(timeout=interval)
            except subprocess.TimeoutExpired:
                show_progress(time.monotonic() - started, log)
    finally:
        if process.poll() is None:
            stop(process)
    if process.returncode != 0:
        raise StepFailedError(f'this command ended with {process.returncode}: {" ".join(command)}')


def run_step(step: Step, number: str, log: Path, lock: int) -> None:
    """Runs the commands of a step; shows what they noted for the user, and the time it took."""
    print(f'[{number}] {step.title} ({step.duration})', flush=True)
    started, log_start = time.monotonic(), log.stat().st_size
    for command in step.commands:
        run_logged(command, log, lock)
    output = log.read_bytes()[log_start:].decode('utf-8', errors='replace')
    clear = '\r\033[K' if sys.stdout.isatty() else ''
    print(f'{clear}      done in {clock(time.monotonic() - started)}', flush=True)
    for message in re.findall('^note: (.*)', output, re.MULTILINE):
        print(f'      {message}', flush=True)


def explain(error: StepFailedError, log: Path) -> None:
    """Shows the end of the log, where the rest is, and what to do if the cause is a known one."""
    lines = log_tail(log, LOG_LINES_SHOWN)
    print('', *(f'    {line}' for line in lines), '', f'Set-up failed, {error}', sep='\n')
    print(f'The whole output is in {log}')
    for pattern, remedy in REMEDIES.items():
        if any(re.search(pattern, line) for line in lines):
            print(remedy)


@contextlib.contextmanager
def only_one_at_a_time(folder: Path) -> Iterator[int]:
    """Holds a lock on the folder, for which a second set-up waits; it leaves no file behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Another set-up is at work in this folder: waiting for it to end.', flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def set_up(venv: Path, lock: int) -> int:
    """Brings the environment to what requirements/ says; returns the exit status."""
    python = f'{sys.version_info[0]}.{sys.version_info[1]}'
    finished = finished_state(python)
    if read_state(venv) == finished and python_of(venv) == python:
        print('.venv is set up.')
        return 0
    problem = existing_venv_problem(venv, python)
    problems = [*all_problems(venv), *([problem] if problem else [])]
    if problems:
        print('This cannot be set up yet:', *(f'  - {problem}' for problem in problems), sep='\n')
        return 1
    for remark in remarks():
        print(f'Note: {remark}')

    clear_remains(venv)
    (venv / 'tmp').mkdir(parents=True)
    write_state(venv, dict(finished, requirements='not yet installed'))
    log = venv / 'setup.log'
    log.write_bytes(b'')
    print(f'Setting up .venv with Python {python}, details in {log}', flush=True)
    started, steps = time.monotonic(), make_steps(venv)
    try:
        for number, step in enumerate(steps, 1):
            run_step(step, f'{number}/{len(steps)}', log, lock)
    except StepFailedError as error:
        explain(error, log)
        return 1
    finally:
        shutil.rmtree(venv / 'tmp', ignore_errors=True)
    write_state(venv, finished)
    print(f'.venv is set up, in {clock(time.monotonic() - started)}.')
    return 0


def main() -> int:
    """Sets up .venv, or says why not; returns the exit status."""
    problem = python_problem(sys.version_info[:2])
    if problem:
        print(problem)
        return 1
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        with only_one_at_a_time(ROOT) as lock:
            return set_up(VENV, lock)
    except KeyboardInterrupt:
        print('\nInterrupted. The same command resumes where this one stopped.')
        return 130


if __name__ == '__main__':
    sys.exit(main())
