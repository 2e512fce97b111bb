"""Makes .venv: the environment that `make demo`, `make test` and `make lint` run in.

Needs the standard library only, and runs on Python 3.8. What is done is not done again: an
interrupted run resumes, a finished one takes no time. uv installs everything, and gets a Python
where the machine has none that fits (see run_uv.py). All versions stand in requirements/.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from run_uv import cache

ROOT = Path(__file__).resolve().parent.parent
if TYPE_CHECKING:
    from mmrsir.doctor import machine
else:  # without `import mmrsir`, which needs torch
    sys.path.append(str(ROOT / 'mmrsir/doctor'))
    import machine

VENV = ROOT / '.venv'
REQUIREMENTS = ROOT / 'requirements'
UVS_PYTHON = '3.11'  # what the tests run on most
BASE_PYTHON = getattr(sys, '_base_executable', sys.executable)  # without an environment
SECONDS_BETWEEN_LINES = 15.0
GIGABYTES = 8.0  # measured: 5.8 when done; uv's cache holds the same files as links
ADVICE = """
Set-up failed; the whole output is in {}
Once the cause is gone, the same command resumes. `pip config list` shows the index, proxy and
certificate (global.cert) that are used; MAX_JOBS=1 saves memory."""
INSTALL_PYTHON = f"""Or install Python {UVS_PYTHON} with its headers (Debian, Ubuntu: the package
python{UVS_PYTHON}-dev), then run `make setup PYTHON=python{UVS_PYTHON}`."""


def make_steps(python: str) -> dict[str, list[str]]:
    """The commands by title: mmcv is compiled against torch, so torch comes first."""
    here, uv = '.venv/bin/python', f'{shlex.quote(BASE_PYTHON)} dev/run_uv.py'
    # All versions hold in every step, lest a later one replaces what an earlier one brought along.
    install = f'{uv} pip install --python {here} -c requirements/constraints.txt'
    libraries = ' '.join(
        f'-r requirements/{name}.txt' for name in ('mmcv', 'openmmlab', 'app', 'dev', 'docs')
    )
    return {
        'virtual environment and build tools (under a minute)': [
            f'{uv} venv --allow-existing {python} .venv',
            f'{install} -r requirements/build.txt',
        ],
        'torch (a minute or more: downloads 2.5 GB)': [f'{install} -r requirements/torch.txt'],
        "mmcv's compiled ops (2 to 4 minutes on 2 cores, seconds if they are in the cache)": [
            f'{here} dev/build_mmcv.py'
        ],
        'OpenMMLab and the development tools (under a minute: downloads 0.4 GB)': [
            # Both OpenCV packages write the folder cv2. The headless one, which does without
            # libGL.so.1, has to come second for its files to stay.
            f'{install} --no-deps opencv-python',
            f'{install} --no-build-isolation {libraries}',
        ],
        'mmrsir itself, and a check of everything (under a minute)': [
            f'{install} --no-deps --no-build-isolation --editable .',
            f'{uv} pip check --python {here}',
            f'{here} -W ignore -m mmrsir.doctor',
        ],
    }


def obstacles() -> list[str]:
    """Everything that would stop the steps later, all at once."""
    torch = re.search(r'^torch==(\S+)', (REQUIREMENTS / 'torch.txt').read_text(), re.MULTILINE)
    found = [machine.compiler_problem(torch[1] if torch else '')]
    if re.search(r'\s', str(VENV)):
        found.append(f'The path {str(VENV)!r} has a blank, which compilers split: move it.')
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < GIGABYTES and not any(VENV.glob('lib/python3*/site-packages/torch-*.dist-info')):
        found.append(f'{free:.1f} GB are free for {ROOT}; {GIGABYTES:.0f} GB are needed.')
    return [each for each in found if each]


def python_of_venv() -> str | None:
    """The version of the environment's Python, such as '3.11'; None if it does not run."""
    command = [str(VENV / 'bin/python'), '-c', "import sys; print('%d.%d' % sys.version_info[:2])"]
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return None


def clear_remains() -> None:
    """Removes what an interrupted run left half done, so that the next one does it again."""
    if VENV.exists() and python_of_venv() is None:
        print('.venv holds no Python that runs: making it anew.')
        shutil.rmtree(VENV)
    shutil.rmtree(VENV / 'tmp', ignore_errors=True)
    # pip writes RECORD last, uv INSTALLER: a package without one is incomplete, yet both would
    # count it as there.
    for info in VENV.glob('lib/python3*/site-packages/*.dist-info'):
        if not ((info / 'RECORD').exists() and (info / 'INSTALLER').exists()):
            shutil.rmtree(info)


def log_tail(log: Path, lines: int) -> list[str]:
    text = log.read_text(encoding='utf-8', errors='replace')
    return [line for line in text.splitlines() if line.strip()][-lines:]


def clock(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def run_step(title: str, commands: list[str], log: Path, lock: int) -> bool:
    """Runs a step, with its output in the log; shows its progress, what it notes, and its time.

    It holds the lock as well: should this process be killed outright, the next run waits for it.
    """
    print(title, flush=True)
    begin, end = ('\r\033[K', '') if sys.stdout.isatty() else ('', '\n')
    interval = 1.0 if begin else SECONDS_BETWEEN_LINES
    width = shutil.get_terminal_size((120, 24)).columns - 1
    started, log_start = time.monotonic(), log.stat().st_size
    with log.open('ab') as output:
        process = subprocess.Popen(
            ['sh', '-exc', '\n'.join(commands)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, 'TMPDIR': str(log.parent / 'tmp'), 'PYTHONUNBUFFERED': '1'},
            cwd=ROOT,
            start_new_session=True,
            pass_fds=[lock],
        )
    try:
        while process.poll() is None:
            try:
                process.wait(timeout=interval)
            except subprocess.TimeoutExpired:
                last = ''.join(log_tail(log, 1)).strip()
                last = re.sub(r'^\[(\d+)/(\d+)\] .*', r'\1 of \2 files compiled', last)
                text = f'      {clock(time.monotonic() - started)}  {last}'
                print(f'{begin}{text[:width]}', end=end, flush=True)
    finally:
        if process.poll() is None:  # interrupted: end the step and all that it started
            for ending in (signal.SIGINT, signal.SIGKILL):
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, ending)
                    process.wait(timeout=5)
    if process.returncode != 0:
        return False
    print(f'{begin}      done in {clock(time.monotonic() - started)}', flush=True)
    # build_mmcv.py writes notes, the doctor warnings.
    output_text = log.read_bytes()[log_start:].decode('utf-8', errors='replace')
    for message in re.findall('^(?:note: |(?=warning ))(.*)', output_text, re.MULTILINE):
        print(f'      {message}', flush=True)
    return True


def set_up(lock: int) -> int:
    """Brings the environment to what requirements/ says; returns the exit status."""
    unfit = machine.python_problem() or machine.headers_problem()
    python = UVS_PYTHON if unfit else '{}.{}'.format(*sys.version_info)
    digest = hashlib.sha256()
    for file in sorted(REQUIREMENTS.glob('*.txt')):
        digest.update(f'{file.name}\n{file.read_text(encoding="utf-8")}\n'.encode())
    finished = {'root': str(ROOT), 'python': python, 'requirements': digest.hexdigest()}
    log, state_file = VENV / 'setup.log', VENV / 'setup.json'
    here, state = python_of_venv(), {}
    with suppress(OSError, ValueError):
        state = json.loads(state_file.read_text())
    if here == python and state == finished:
        print('.venv is set up.')
        return 0
    found, root = obstacles(), state.get('root', str(ROOT))
    if here and (here, root) != (python, str(ROOT)):  # it may hold work, so it is kept
        found.append(
            f'.venv was made for Python {here} in {root}, this is Python {python} in {ROOT}: '
            'remove or rename .venv first.'
        )
    if found:
        print('This cannot be set up yet:', *(f'  - {each}' for each in found), sep='\n')
        return 1
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        print(f'Note: untested on {platform.system()} {platform.machine()}; Linux x86_64 is.')
    if unfit:
        print(f'{unfit} Getting Python {python} with uv, into {cache()}.')

    clear_remains()
    (VENV / 'tmp').mkdir(parents=True)
    state_file.write_text(json.dumps({**finished, 'requirements': 'not yet installed'}))
    log.write_bytes(b'')
    print(f'Setting up .venv with Python {python}, details in {log}', flush=True)
    started = time.monotonic()
    steps = make_steps(
        f'--managed-python --python {python}' if unfit else f'--python {shlex.quote(BASE_PYTHON)}'
    )
    try:
        for number, (title, commands) in enumerate(steps.items(), 1):
            if not run_step(f'[{number}/{len(steps)}] {title}', commands, log, lock):
                print(*(f'    {line}' for line in log_tail(log, 25)), ADVICE.format(log), sep='\n')
                if unfit and number == 1:
                    print(INSTALL_PYTHON)
                return 1
    finally:
        shutil.rmtree(VENV / 'tmp', ignore_errors=True)
    state_file.write_text(json.dumps(finished))
    print(f'.venv is set up, in {clock(time.monotonic() - started)}.')
    return 0


def main() -> int:
    """Sets up .venv, or says why not; returns the exit status."""
    if platform.system() not in ('Linux', 'Darwin'):
        print(f'Linux is needed, such as that of WSL 2; this is {platform.system()}.')
        return 1
    import fcntl

    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    lock = os.open(ROOT, os.O_RDONLY)  # this leaves no file behind
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Another set-up is at work in this folder: waiting for it to end.', flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return set_up(lock)
    except KeyboardInterrupt:
        print('\nInterrupted. The same command resumes where this one stopped.')
        return 130


if __name__ == '__main__':
    sys.exit(main())
