"""Checkpoints that survive a kill at any moment, and hold all that an exact resume needs."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_main_process,
)
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...checkpoints.seal import seal
from ...utils.arguments import check_choice
from ...utils.errors import InvalidValueError, UserError
from ...utils.files import DRAFT, draft_of, settle, write_whole
from ...utils.listing import first_ten
from ...utils.suggestions import did_you_mean
from ..loops import random_state
from .class_guard import rests_on_too_few_classes

POINTER = 'last_checkpoint'
# Where a checkpoint keeps what this hook adds.
RESUMPTION = 'resumption'


class CheckpointNotSavedError(UserError, RuntimeError):
    """A checkpoint could not be written; those that were there before still are."""


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """Saves checkpoints as mmengine's hook does, so that no training is lost or changed.

    A file is written under another name, sealed with its hash (:mod:`mmrsir.checkpoints.seal`),
    brought to the disk and then renamed; the pointer ``last_checkpoint`` follows, and older files
    are deleted last. It holds the states of the random generators of all processes and the place
    in the samples' order: a training that is resumed ends with the parameters of one that never
    stopped, if a loop of :mod:`mmrsir.engine.loops` runs it. Validation leaves the generators as
    they were.

    Args:
        on_error: ``'stop'`` ends the training where a file cannot be written, as on a full disk;
            ``'continue'`` logs it and trains on.
        **kwargs: Arguments of mmengine's ``CheckpointHook``.
    """

    file_backend: Any  # of mmengine's hook, from `before_train` on
    keep_ckpt_ids: deque[int]
    key_indicators: list[str]

    def __init__(self, *, on_error: str = 'stop', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_choice('on_error', on_error, ('stop', 'continue'))
        self.on_error = on_error
        self._to_save: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}
        self._to_restore: dict[str, Any] | None = None
        self._before_val: dict[str, Any] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self._loaded = checkpoint.get(RESUMPTION, {})

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if '://' in str(self.out_dir):
            raise InvalidValueError(
                f'out_dir={self.out_dir} of {type(self).__name__} must be a local folder; '
                "elsewhere mmengine's CheckpointHook saves"
            )
        if is_main_process():
            for draft in Path(self.out_dir).glob(f'*.pth{DRAFT}'):  # of a killed training
                draft.unlink()
        if runner.iter > 0:
            self._resume(runner)

    def before_train_iter(self, *args: Any, **kwargs: Any) -> None:
        if self._to_restore is not None:
            random_state.restore(self._to_restore)
            self._to_restore = None

    def before_val(self, runner: Runner) -> None:
        self._before_val = random_state.capture()

    def after_val(self, runner: Runner) -> None:
        random_state.restore(self._before_val)
        self._before_val = {}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if self._to_save:
            checkpoint[RESUMPTION] = self._to_save
            checkpoint['meta'].update(self._place)  # FlexibleRunner counts on after validation

    def _resume(self, runner: Runner) -> None:
        counted = runner.iter - runner.epoch * len(runner.train_dataloader)  # not with other data
        runner.train_loop.batches_done = self._loaded.get('batches_done', max(0, counted))
        states = self._loaded.get('random_states', [])
        if len(states) != get_world_size():
            runner.logger.warning(
                f'the checkpoint has the random states of {len(states)} processes, but the '
                f'training has {get_world_size()}: it continues, but its results will differ from '
                'those of a training without a stop'
            )
            return
        self._to_restore = states[get_rank()]
        if self._loaded['sampler_seed'] is not None:
            runner.train_dataloader.batch_sampler.sampler.seed = self._loaded['sampler_seed']

    def _save_checkpoint(self, runner: Runner) -> None:
        with self._errors_told(runner):
            super()._save_checkpoint(_Saver(runner))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best or rests_on_too_few_classes(runner):
            return
        for key in self.key_indicators:
            if key != 'auto' and key not in metrics:
                raise InvalidValueError(
                    f'save_best={key!r} of {type(self).__name__} is no metric of this validation'
                    f'{did_you_mean(key, metrics)}; there are {first_ten(list(metrics))}'
                )
        saver, files = _Saver(runner), self.file_backend
        self.file_backend = later = _RemovesLater(files)
        notes = runner.message_hub.runtime_info
        before = _best(vars(self)), _best(notes)
        try:
            with self._errors_told(runner):
                super()._save_best_checkpoint(saver, metrics)
                for path in later.removed - saver.saved:
                    files.remove(path)
                return
        finally:
            self.file_backend = files
        # Not saved: the best one is still what it was.
        for present, kept in zip((vars(self), notes), before, strict=True):
            for key in _best(present):
                del present[key]
            present.update(kept)

    @contextmanager
    def _errors_told(self, runner: Runner) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = (
                f'a checkpoint could not be saved to {self.out_dir}: {error}; earlier '
                'checkpoints are unchanged'
            )
            if self.on_error == 'stop':
                raise CheckpointNotSavedError(message) from error
            runner.logger.error(message)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save a checkpoint, then point to it, then delete older ones."""
        name = self.filename_tmpl.format(step)
        path = Path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', str(path))
        if self.max_keep_ckpts > 0:
            there = [*(one for one in self.keep_ckpt_ids if one != step), step]
            # With those to be deleted: where a kill prevents it, mmengine does it on resuming.
            runner.message_hub.update_info('keep_ckpt_ids', there)
        self._place = dict(epoch=meta['epoch'], iter=meta['iter'])
        self._to_save = dict(
            # Of a validation that is going on, the states that the training will go on with.
            random_states=all_gather_object(self._before_val or random_state.capture()),
            batches_done=getattr(runner.train_loop, 'batches_done', 0),
            sampler_seed=getattr(runner.train_dataloader.batch_sampler.sampler, 'seed', None),
        )
        try:
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                **self.args,
            )
        finally:
            self._to_save = {}
        self.last_ckpt = str(path)
        if is_main_process():
            write_whole({Path(runner.work_dir, POINTER): self.last_ckpt})
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(there[-self.max_keep_ckpts :])
            if is_main_process():
                for one in there[: -self.max_keep_ckpts]:
                    path.with_name(self.filename_tmpl.format(one)).unlink(missing_ok=True)


class _Saver:
    """A runner whose checkpoints are drafts until they are whole."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.saved: set[Path] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        path = Path(out_dir, filename)
        draft = draft_of(path)
        failure: list[Exception | None] = [None]
        try:
            self._runner.save_checkpoint(out_dir, draft.name, *args, **kwargs)
            if is_main_process():
                with draft.open('r+b') as file:
                    seal(file)
                settle(path)
        except Exception as error:
            if not is_main_process():
                raise
            failure = [error]
            draft.unlink(missing_ok=True)
        # Or the other processes would wait for the main one, which alone writes.
        broadcast_object_list(failure)
        if failure[0] is not None:
            raise failure[0]
        self.saved.add(path)


class _RemovesLater:
    """A file backend that only notes what is to be removed."""

    def __init__(self, files: Any) -> None:
        self._files = files
        self.removed: set[Path] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def remove(self, path: str) -> None:
        self.removed.add(Path(path))


def _best(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what mmengine's hook notes of the best checkpoint, or of one for each metric."""
    return {key: copy(value) for key, value in values.items() if key.startswith('best_')}
