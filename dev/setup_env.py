"""Makes .venv: the environment that `make demo`, `make test` and `make lint` run in.

Needs the standard library only. What is done is not done again: an interrupted run resumes, a
finished one takes no time. pip installs uv, which installs the rest under pip's settings (see
uv_install.py); all versions stand in requirements/. Where the machine has no Python that fits,
get_python.py gets one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, NamedTuple, Sequence

import get_python

ROOT = Path(__file__).resolve().parent.parent
if TYPE_CHECKING:
    from mmrsir.doctor import machine
else:  # without `import mmrsir`, which an old Python cannot even read
    _spec = importlib.util.spec_from_file_location('machine', ROOT / 'mmrsir/doctor/machine.py')
    machine = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(machine)

VENV = ROOT / '.venv'
MINE = '{}.{}'.format(*sys.version_info)
FETCHED = '--fetched'  # the argument of the set-up that go_on_with_another_python starts
REQUIREMENTS = ROOT / 'requirements'
SECONDS_BETWEEN_LINES = 15.0
LOG_LINES_SHOWN = 25
# Measured: 5.8 GB when done. uv's cache holds the same files, as links where the disk is the same.
VENV_GB, CACHE_GB, UPDATE_GB = 8.0, 7.0, 3.0
REMEDIES = {
    'No space left on device': 'The disk is full: make room, then run the same command again.',
    'Killed signal terminated': 'Memory ran out: run the same command again with MAX_JOBS=1 set.',
    'CERTIFICATE_VERIFY_FAILED|invalid peer certificate': (
        'The certificate of the index is not trusted: `pip config set global.cert FILE`.'
    ),
    'name resolution|NewConnectionError|timed out|ProxyError|ConnectionReset|IncompleteRead|'
    'error sending request|Failed to fetch': (
        'The network failed: see `pip config list` for the index and proxy that pip uses, then run '
        'the same command again; it resumes.'
    ),
    'No matching distribution found|No solution found': (
        'The package index lacks that version for this Python and system: see `pip config list` '
        'for the index that pip uses.'
    ),
    r'libGL\.so\.1': 'OpenCV misses libGL.so.1: remove .venv and run the same command again.',
}


class StepFailedError(Exception):
    """A command of a step ended with an error."""


class Step(NamedTuple):
    title: str
    duration: str
    commands: Sequence[Sequence[str]]


def disk_problems(venv: Path) -> list[str]:
    """One sentence for each disk that has less room than what is still to be installed needs."""
    first = not installed('torch', venv)
    needs = {venv: VENV_GB if first else UPDATE_GB}
    if first:
        needs[get_python.cache_of('uv', 'UV_CACHE_DIR')] = CACHE_GB
    problems, disks = [], set()
    for folder, needed in needs.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free, disk = shutil.disk_usage(existing).free / 1e9, existing.stat().st_dev
        if disk not in disks and free < needed:
            problems.append(f'{free:.1f} GB are free for {existing}; {needed:.0f} GB are needed.')
        disks.add(disk)
    return problems


def all_problems(venv: Path) -> list[str]:
    """Everything that would stop the set-up later, all at once."""
    pin = re.search(r'^torch==(\S+)', (REQUIREMENTS / 'torch.txt').read_text(), re.MULTILINE)
    torch = pin[1] if pin else ''
    problems = [machine.compiler_problem(torch)]
    python, root = python_of(venv), read_state(venv).get('root', str(ROOT))
    if python not in (None, MINE) or root != str(ROOT):  # it may hold work, so it is kept
        problems.append(
            f'.venv was made for Python {python} in {root}, this is Python {MINE} in {ROOT}: '
            'remove or rename .venv first.'
        )
    if platform.system() not in ('Linux', 'Darwin') or sys.maxsize < 2**32:
        bits = 64 if sys.maxsize > 2**32 else 32
        problems.append(
            f'A 64-bit Linux is needed; this is {platform.system()} with a {bits}-bit Python.'
        )
    if re.search(r'\s', str(venv)):
        problems.append(f'The path {str(venv)!r} has a blank, which compilers split: move it.')
    if pin and (problem := machine.torch_problem(torch)):
        problems.append(f'requirements/torch.txt: {problem}.')
    return [problem for problem in (*problems, *disk_problems(venv)) if problem]


def installed(package: str, venv: Path) -> bool:
    return any(venv.glob(f'lib/python3*/site-packages/{package}-*.dist-info'))


def finished_state() -> dict[str, str]:
    """What setup.json says of a finished environment for this Python in this place."""
    digest = hashlib.sha256()
    for file in sorted(REQUIREMENTS.glob('*.txt')):
        digest.update(f'{file.name}\n{file.read_text(encoding="utf-8")}\n'.encode())
    return {'root': str(ROOT), 'python': MINE, 'requirements': digest.hexdigest()}


def read_state(venv: Path) -> dict[str, str]:
    """What setup.json says of the environment; empty where this tool did not make it."""
    try:
        state: dict[str, str] = json.loads((venv / 'setup.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return state


def write_state(venv: Path, state: dict[str, str]) -> None:
    partial = venv / 'setup.json.partial'
    partial.write_text(json.dumps(state, indent=1), encoding='utf-8')
    partial.replace(venv / 'setup.json')


def python_of(venv: Path) -> str | None:
    """The version of the environment's Python, such as '3.11'; None if it does not run."""
    script = "import sys; print('{}.{}'.format(*sys.version_info))"
    command = [str(venv / 'bin' / 'python'), '-c', script]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def clear_remains(venv: Path) -> None:
    """Removes what an interrupted run left half done, so that the next one does it again."""
    if venv.exists() and python_of(venv) is None:
        print('.venv holds no Python that runs: making it anew.')
        shutil.rmtree(venv)
    shutil.rmtree(venv / 'tmp', ignore_errors=True)
    # pip writes RECORD last, uv INSTALLER: a package without one is incomplete, yet both would
    # count it as there.
    for info in venv.glob('lib/python3*/site-packages/*.dist-info'):
        if not ((info / 'RECORD').exists() and (info / 'INSTALLER').exists()):
            shutil.rmtree(info)


def make_steps(venv: Path) -> list[Step]:
    """The set-up in order: mmcv is compiled against torch, so torch comes first."""
    python = str(venv / 'bin' / 'python')
    # All versions hold in every step, lest a later one replaces what an earlier one brought along.
    versions = ['-c', str(REQUIREMENTS / 'constraints.txt')]
    install = [python, str(ROOT / 'dev' / 'uv_install.py'), *versions]
    base = getattr(sys, '_base_executable', sys.executable)
    create = [] if installed('pip', venv) else [[base, '-m', 'venv', str(venv)]]

    def listed(*names: str) -> list[str]:
        return [part for name in names for part in ('-r', str(REQUIREMENTS / f'{name}.txt'))]

    # Both OpenCV packages write the folder cv2. The headless one, which does without libGL.so.1,
    # has to come second for its files to stay.
    opencv = [*install, '--no-deps', 'opencv-python']
    libraries = listed('mmcv', 'openmmlab', 'app', 'dev', 'docs')
    return [
        Step(
            'virtual environment and build tools',
            'under a minute',
            [*create, [python, '-m', 'pip', 'install', *versions, *listed('build')]],
        ),
        Step('torch', 'a minute or more: downloads 2.5 GB', [[*install, *listed('torch')]]),
        Step(
            "mmcv's compiled ops",
            '2 to 4 minutes on 2 cores, seconds if they are in the cache',
            [[python, str(ROOT / 'dev' / 'build_mmcv.py')]],
        ),
        Step(
            'OpenMMLab and the development tools',
            'under a minute: downloads 0.4 GB',
            [opencv, [*install, '--no-build-isolation', *libraries]],
        ),
        Step(
            'mmrsir itself, and a check of everything',
            'under a minute',
            [
                [*install, '--no-deps', '--no-build-isolation', '--editable', str(ROOT)],
                [python, '-m', 'pip', 'check'],
                [python, '-W', 'ignore', '-m', 'mmrsir.doctor'],
            ],
        ),
    ]


def log_tail(log: Path, lines: int) -> list[str]:
    """The last lines of the log that are not empty."""
    with log.open('rb') as file:
        file.seek(max(0, log.stat().st_size - 200 * (lines + 20)))
        text = file.read().decode('utf-8', errors='replace')
    return [line for line in text.splitlines() if line.strip()][-lines:]


def clock(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def show_progress(seconds: float, log: Path) -> None:
    """Says how long a command has run and what it does: in place on a terminal, else in a line."""
    last = ''.join(log_tail(log, 1)).strip()
    last = re.sub(r'^\[(\d+)/(\d+)\] .*', r'\1 of \2 files compiled', last)
    text = f'      {clock(seconds)}  {last}'
    text = text[: shutil.get_terminal_size((120, 24)).columns - 1]
    on_terminal = sys.stdout.isatty()
    print(f'\r\033[K{text}' if on_terminal else text, end='' if on_terminal else '\n', flush=True)


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
        if process.poll() is None:  # interrupted: end the command and all that it started
            for ending in (signal.SIGINT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, ending)
                    process.wait(timeout=5)
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
    # build_mmcv.py writes notes, the doctor warnings.
    for message in re.findall('^(?:note: |(?=warning ))(.*)', output, re.MULTILINE):
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
    finished = finished_state()
    if read_state(venv) == finished and python_of(venv) == MINE:
        print('.venv is set up.')
        return 0
    if problems := all_problems(venv):
        print('This cannot be set up yet:', *(f'  - {problem}' for problem in problems), sep='\n')
        return 1
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        print(f'Note: untested on {platform.system()} {platform.machine()}; Linux x86_64 is.')
    if shutil.which('git') is None:
        print('Note: there is no git: runs cannot record which revision they used.')

    clear_remains(venv)
    (venv / 'tmp').mkdir(parents=True)
    write_state(venv, dict(finished, requirements='not yet installed'))
    log = venv / 'setup.log'
    log.write_bytes(b'')
    print(f'Setting up .venv with Python {MINE}, details in {log}', flush=True)
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


def go_on_with_another_python(problem: str) -> int:
    """Gets a Python and becomes a set-up with it; returns the exit status where there is none."""
    wanted = get_python.PYTHON
    print(f'{problem} Getting Python {wanted} with uv, into {get_python.cache()}.', flush=True)
    try:
        python = str(get_python.get_python())
    except get_python.NoPythonError as error:
        print(
            f'That failed: {error}\n'
            f'Install Python {wanted} with its venv module and headers (Debian, Ubuntu: packages '
            f'python{wanted}-venv and python{wanted}-dev), then `make setup PYTHON=python{wanted}`.'
        )
        return 1
    os.execv(python, [python, __file__, FETCHED])


def main() -> int:
    """Sets up .venv, or says why not; returns the exit status."""
    problem = machine.python_problem(sys.version_info[:2]) or machine.python_parts_problem()
    if problem and FETCHED not in sys.argv:
        return go_on_with_another_python(problem)
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
