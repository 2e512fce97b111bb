"""What holds when a training is resumed: settings of the config, or those of the checkpoint."""

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils._pytree import tree_map

from ...checkpoints.reading import match_weights, strip_wrapper
from ...utils.arguments import check_choice
from ...utils.errors import UserError
from ...utils.listing import first_ten
from ...utils.settings import type_name
from .checkpoint import RESUMPTION
from .checkpoint_match import unwrap
from .config_differences import (
    compare_configs,
    from_config,
    plain,
    read_config,
    trains_by_iterations,
    wrappers,
)

# What of a scheduler's state moves while it runs; its first values are those of the optimizer.
MOVING = {
    '_global_step',
    '_last_value',
    'base_values',
    'best',
    'cooldown_counter',
    'last_step',
    'num_bad_epochs',
    'verbose',
}
COUNTED = {'T_max', 'begin', 'end', 'milestones', 'periods', 'restarts', 'step_size', 'total_iters'}
FOREVER = 10**9  # how mmengine writes that a scheduler never ends
START_ANEW = (
    'To start a new training from these weights: --cfg-options load_from=CHECKPOINT, without '
    '--resume'
)
TAKE_NEW = (
    'To continue from here with the schedule of the config: --cfg-options resume_schedule=config. '
    f'{START_ANEW}'
)


class CannotResumeError(UserError, ValueError):
    """A checkpoint is of another training than the one that the config describes."""

    def __init__(self, problem: str, remedy: str = START_ANEW) -> None:
        super().__init__(f'{problem}. {remedy}')


class ResumedSettingsHook(Hook):
    """Says which settings hold when a training is resumed, and refuses what cannot be meant.

    mmengine takes learning rates, their schedule and all other settings of the optimizer from the
    checkpoint. It takes the length of the training, how gradients are accumulated and clipped, the
    data, and all of the model but its weights from the config. It does both in silence.

    Args:
        schedule: ``'checkpoint'`` does as mmengine. ``'config'`` takes settings and schedule of the
            config, at the place that they would have reached by now; states of the optimizer, such
            as momentum, stay.
    """

    def __init__(self, schedule: str = 'checkpoint') -> None:
        check_choice('resume_schedule', schedule, ('checkpoint', 'config'))
        self.schedule = schedule

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if not runner._resume:
            return
        before = read_config(checkpoint)
        learned = wrappers(before)
        if isinstance(runner, Runner):  # mmengine's FlexibleRunner has no whole model yet
            _check_model(unwrap(runner.model), checkpoint)
            _check_optimizers(runner, checkpoint, learned)
        elif self.schedule == 'config':
            raise CannotResumeError(
                f'resume_schedule=config does not work with runner_type={type(runner).__name__}',
                'Set resume_schedule=checkpoint',
            )
        lines = [
            *_compare_length(runner, checkpoint, before),
            *compare_configs(runner.cfg, before),
        ]
        _set_max_iters(runner, checkpoint)
        if self.schedule == 'config':
            _take_schedule(runner, checkpoint)
            runner.logger.info('resume_schedule=config: the schedule is that of the config')
        elif ignored := [f'  {one}' for one in _compare_schedules(runner, checkpoint)]:
            told = 'These settings come from the checkpoint, not from the config:'
            lines += [told, *ignored, f'{TAKE_NEW}.']
            _note(runner, lines)
        if lines:
            runner.logger.warning('\n'.join(['Resumed with another config:', *lines]))


def _check_model(model: nn.Module, checkpoint: dict[str, Any]) -> None:
    weights = strip_wrapper(checkpoint.get('state_dict', {}))
    match = match_weights(model, weights)
    parameters = dict(model.named_parameters())
    present = model.state_dict()
    wrong = [
        f'{key} is {tuple(present[key].shape)} in the config, {tuple(weights[key].shape)} in the '
        'checkpoint'
        for key in match.mismatched
    ]
    wrong += [f'{key} is missing in the checkpoint' for key in match.missing if key in parameters]
    if wrong:
        classes = (checkpoint['meta'].get('dataset_meta') or {}).get('classes') or ()
        learned = f'. The checkpoint has {len(classes)} classes: {first_ten(classes)}'
        raise CannotResumeError(
            f'a training must be resumed with the same model: {first_ten(wrong)}'
            f'{learned if classes else ""}'
        )


def _check_optimizers(
    runner: Runner, checkpoint: dict[str, Any], learned: dict[str, dict[str, Any]]
) -> None:
    if 'optimizer' not in checkpoint:
        raise CannotResumeError(
            'the checkpoint cannot be resumed: it holds no optimizer state. Best and published '
            'checkpoints hold none'
        )
    configured = wrappers(runner.cfg)
    for place, wrapper, state in _optimizers(runner, checkpoint):
        kind, before = (
            type_name(one[place]['optimizer']) if place in one else ''
            for one in (configured, learned)
        )
        if kind and before and before != kind:  # some take another's state without a word
            raise CannotResumeError(
                f'{place}: the checkpoint has another kind of optimizer, {before}; the config has '
                f'{kind}'
            )
        fresh, saved = wrapper.optimizer.param_groups, state['param_groups']
        sizes = [[len(group['params']) for group in groups] for groups in (fresh, saved)]
        if sizes[0] != sizes[1]:
            counts = [f'{sum(one)} parameters in {len(one)} groups' for one in sizes]
            raise CannotResumeError(
                f'{place} has {counts[0]}, but the checkpoint {counts[1]}: the config trains other '
                'parameters, or its paramwise_cfg differs'
            )
        # For a checkpoint without a config. Each version of torch adds settings; an optimizer of
        # another kind also lacks some.
        names = [set(groups[0]) for groups in (fresh, saved)]
        if names[1] - names[0] - {'initial_lr', 'initial_momentum'} and names[0] - names[1]:
            differ = ', '.join(sorted(names[0] ^ names[1]))
            raise CannotResumeError(
                f'{place}: the checkpoint has another kind of optimizer; only one of the two has '
                f'{differ}'
            )


def _set_max_iters(runner: Any, checkpoint: dict[str, Any]) -> None:
    """Count the iterations by the epochs that are left, as those before may have had others."""
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        meta, length = checkpoint['meta'], len(loop.dataloader)
        begun = (checkpoint.get(RESUMPTION) or {}).get('batches_done', 0)
        left = (loop.max_epochs - meta['epoch']) * length - min(begun, length)
        loop._max_iters = meta['iter'] + left


def _compare_length(
    runner: Any, checkpoint: dict[str, Any], learned: dict[str, Any]
) -> Iterator[str]:
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    by_iterations = trains_by_iterations(learned)
    if by_epoch and by_iterations:
        raise CannotResumeError(
            'the checkpoint is of a training by iterations, which counts no epochs; the config '
            'trains by epochs',
            f'Set train_cfg as in that training, with by_epoch=False and max_iters. {START_ANEW}',
        )
    if by_iterations is False and not by_epoch:
        yield 'train_cfg: the config trains by iterations, the checkpoint by epochs.'
    setting, unit = ('max_epochs', 'epoch') if by_epoch else ('max_iters', 'iter')
    length, done = getattr(runner.train_loop, setting), checkpoint['meta'][unit]
    before = ((checkpoint.get('message_hub') or {}).get('runtime_info') or {}).get(setting)
    if done > length:
        raise CannotResumeError(
            f'the checkpoint is from {unit} {done}, beyond train_cfg.{setting}={length}: '
            'nothing is left to train',
            f'Raise {setting}, or resume an earlier checkpoint',
        )
    if done == length:
        yield f'train_cfg.{setting}={length} is reached: nothing is left to train.'
    elif before not in (None, length):
        yield from_config(f'train_cfg.{setting}', length, before)


def _compare_schedules(runner: Any, checkpoint: dict[str, Any]) -> Iterator[str]:
    if isinstance(runner, Runner):
        for place, wrapper, saved_state in _optimizers(runner, checkpoint):
            fresh, saved = wrapper.optimizer.param_groups, saved_state['param_groups']
            for name in sorted(set(fresh[0]) & set(saved[0]) - {'params'}):
                if name in ('lr', 'momentum') and f'initial_{name}' in fresh[0]:
                    continue  # the schedule moves it
                now, before = ([plain(one.get(name)) for one in each] for each in (fresh, saved))
                if now != before:
                    setting = f'{place}.optimizer.{name.removeprefix("initial_")}'
                    yield f'{setting}: {_range(before)}, not {_range(now)}'
    for place, fresh, saved in _schedulers(runner, checkpoint):
        if len(fresh) != len(saved):
            raise CannotResumeError(
                f'{place} has {len(fresh)} schedules, but the checkpoint {len(saved)}: it cannot '
                'continue',
                TAKE_NEW,
            )
        for index, (scheduler, state) in enumerate(zip(fresh, saved, strict=True)):
            own = scheduler.state_dict()
            if own.keys() != state.keys():
                differ = ', '.join(sorted((own.keys() ^ state.keys()) - MOVING))
                raise CannotResumeError(
                    f'{place}.{index} is a {type(scheduler).__name__}, but the checkpoint has '
                    f'another kind; only one of the two has {differ}',
                    TAKE_NEW,
                )
            for name in sorted(own.keys() - MOVING):
                if own[name] != state[name]:
                    unit = ' epochs' if own['by_epoch'] else ' iterations'
                    unit = unit if name in COUNTED else ''
                    values = f'{_shown(state[name])}{unit}, not {_shown(own[name])}{unit}'
                    yield f'{place}.{index}.{name}: {values}'


def _take_schedule(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Let the config's schedule come to where the checkpoint is, and put it into that."""
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    epochs = checkpoint['meta']['epoch'] if by_epoch else 0
    schedulers = [one for _, fresh, _ in _schedulers(runner, checkpoint) for one in fresh]
    _step(schedulers, checkpoint['meta']['iter'], epochs, len(runner.train_dataloader))
    for _, wrapper, state in _optimizers(runner, checkpoint):
        for group, old in zip(wrapper.optimizer.param_groups, state['param_groups'], strict=True):
            old.update({name: value for name, value in group.items() if name != 'params'})
        if wrapper.base_param_settings is not None:
            state['base_param_settings'] = wrapper.base_param_settings
    checkpoint['param_schedulers'] = tree_map(
        lambda one: one.state_dict(), runner.param_schedulers or []
    )


def _step(schedulers: list[Any], iterations: int, epochs: int, epoch_length: int) -> None:
    """Step schedulers as a training does: most know their next value by their last one alone."""
    # Epochs of another length end with the last iteration.
    ended = Counter(min(epoch * epoch_length, iterations) for epoch in range(1, epochs + 1))
    ordered = sorted(schedulers, key=lambda one: one.by_epoch)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of schedulers that step before their optimizer
        for iteration in range(1, iterations + 1):
            for scheduler in ordered:
                for _ in range(ended[iteration] if scheduler.by_epoch else 1):
                    scheduler.step()


def _optimizers(
    runner: Runner, checkpoint: dict[str, Any]
) -> Iterator[tuple[str, OptimWrapper, dict[str, Any]]]:
    wrapper, state = runner.optim_wrapper, checkpoint['optimizer']
    if not isinstance(wrapper, OptimWrapperDict):
        yield 'optim_wrapper', wrapper, state
        return
    for name, one in wrapper.items():
        if name not in state:
            raise CannotResumeError(f'the checkpoint holds no optimizer for optim_wrapper.{name}')
        yield f'optim_wrapper.{name}', one, state[name]


def _schedulers(
    runner: Any, checkpoint: dict[str, Any]
) -> Iterator[tuple[str, list[Any], list[dict[str, Any]]]]:
    fresh, saved = runner.param_schedulers or [], checkpoint.get('param_schedulers') or []
    if not isinstance(fresh, dict):
        yield 'param_scheduler', fresh, saved if isinstance(saved, list) else []
        return
    for name, schedulers in fresh.items():
        yield f'param_scheduler.{name}', schedulers, dict(saved).get(name, [])


def _note(runner: Any, lines: list[str]) -> None:
    """Write into the run's copy of the config what does not hold of it."""
    dumped = Path(runner.work_dir, Path(runner.cfg.filename or f'{runner.timestamp}.py').name)
    if is_main_process() and dumped.is_file():
        note = ''.join(f'# {line}\n' for line in lines)
        dumped.write_text(note + dumped.read_text(encoding='utf-8'), encoding='utf-8')


def _range(values: list[Any]) -> str:
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) == len(values) and min(numbers) != max(numbers):
        return f'{min(numbers):.6g} to {max(numbers):.6g}'
    return _shown(values[0])


def _shown(value: Any) -> str:
    if isinstance(value, Counter):  # milestones
        return str(sorted(value.elements()))
    if value == FOREVER:
        return 'no'
    return f'{value:.6g}' if isinstance(value, float) else str(value)
