"""A report of a training in its work folder: one page of what it was and what it reached."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.utils.dl_utils import collect_env

from ...utils.files import write_whole
from ...visualization.report import render_report

REPORT = 'report.html'
PACKAGES = ('mmrsir', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'timm')
LEFT_OUT = ('PyTorch compiling details', 'numpy_random_seed')  # of the environment: for the log
SHOWN_CHANGES = 20


@contextmanager
def errors_logged(runner: Runner, message: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        runner.logger.exception(f'{message}; the training continues')


@HOOKS.register_module()
class RunReportHook(Hook):
    """Writes ``report.html`` into the work folder, at each validation and at the end of a training.

    It is one file with all pictures in it: the command, the state of git, settings and environment,
    curves, checkpoints with their metrics, and predictions. An error in it is only logged.
    """

    priority = 'LOWEST'  # after those that log, save and draw

    def __init__(self) -> None:
        self._facts: dict[str, dict[str, str]] | None = None

    def before_train(self, runner: Runner) -> None:
        if is_main_process():
            with errors_logged(runner, f'{REPORT} will not be written'):
                self._facts = _describe(runner)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        self._write(runner, f'validated after {runner.iter} of {runner.max_iters} iterations')

    def after_train(self, runner: Runner) -> None:
        self._write(runner, f'finished after {runner.iter} iterations')

    def _write(self, runner: Runner, state: str) -> None:
        if self._facts is None:  # not the main process, or a validation without a training
            return
        if not any(Path(runner.work_dir).glob('*/vis_data/scalars.json')):
            runner.logger.warning(
                f'{REPORT} is not written, because nothing was logged: the training is shorter '
                'than default_hooks.logger.interval'
            )
            return
        with errors_logged(runner, f'{REPORT} could not be written'):
            notes = runner.message_hub.runtime_info
            by_epoch = any(getattr(one, 'log_metric_by_epoch', False) for one in runner.hooks)
            page = render_report(
                Path(runner.work_dir),
                state=state,
                facts=self._facts,
                config=Path(runner.log_dir, 'vis_data/config.py'),
                unit='epoch' if by_epoch else 'iter',
                checkpoints={
                    key.replace('_ckpt', '').replace('_', ' ', 1): notes[key]
                    for key in sorted(notes)
                    if key == 'last_ckpt' or key.startswith('best_ckpt')
                },
            )
            write_whole({Path(runner.work_dir, REPORT): page})


def git_state(folder: Path) -> dict[str, str]:
    commit = _git(folder, 'rev-parse', 'HEAD')
    if commit is None:
        return {'commit': f'unknown: git tells none for {folder}'}
    status = _git(folder, 'status', '--porcelain')
    branch = _git(folder, 'rev-parse', '--abbrev-ref', 'HEAD') or ''
    if status is None:
        return {'commit': commit, 'branch': branch, 'changes': 'unknown: git status failed'}
    changes = status.splitlines()
    more = [f'and {len(changes) - SHOWN_CHANGES} more'] if len(changes) > SHOWN_CHANGES else []
    return {
        'commit': f'{commit} {"with changes" if changes else "without changes"}',
        'branch': branch,
        'changes': '\n'.join([*changes[:SHOWN_CHANGES], *more]) or 'none',
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ['git', *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env={**os.environ, 'GIT_OPTIONAL_LOCKS': '0'},  # others may use the repository
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip('\n')


def _describe(runner: Runner) -> dict[str, dict[str, str]]:
    config = runner.cfg.filename
    return {
        'Command': {
            'command': shlex.join(sys.orig_argv),
            'in': os.getcwd(),
            'config': config or 'none: the settings come from a program',
            'seed': str(runner.seed),
            'processes': str(get_world_size()),
        },
        'Code': git_state(Path(config).resolve().parent if config else Path.cwd()),
        'Environment': {
            'host': platform.node(),
            **{key: str(value) for key, value in collect_env().items() if key not in LEFT_OUT},
            **{
                name: str(vars(sys.modules[name]).get('__version__'))
                for name in PACKAGES
                if name in sys.modules
            },
        },
    }
