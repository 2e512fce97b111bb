"""A guard of classes: what data, config and checkpoint call them, and how often they occur."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner

from ...datasets.check.across import compare_names
from ...datasets.check.configs import COCO, kind_of_files
from ...datasets.check.findings import Report
from ...datasets.check.loaded import DatasetError
from ...datasets.check.settings import check_evaluators, ignored_label_problem
from ...datasets.class_counts import ClassCounts, count_loaded, to_tables
from ...datasets.class_names import Naming, declared_names, difference, found_names, leaves
from ...utils.listing import first_ten
from ..config_check import Mistake, refuse
from ..scopes import class_names
from .label_kinds import label_mistakes

SPLITS = ('train', 'val', 'test')
# Names that differ are a mistake of this setting of a data loader.
SETTING = 'dataset.metainfo'


@HOOKS.register_module()
class ClassGuardHook(Hook):
    """Compares the names of classes, and says which of them occur.

    Before the first iteration the classes of training and validation are compared, name by name,
    with those of the files; a checkpoint that is tested or resumed likewise with the data. Then the
    log has how often each class occurs: of a large data set a sample is looked at. After an
    evaluation, classes without ground truth are named.

    Attributes:
        rests_on_too_few: Whether the last validation's ground truth was of one of several classes,
            or of none: its metrics are not to be compared.
    """

    priority = 'LOW'  # after the hook that logs metrics, before the one that saves checkpoints

    def __init__(self) -> None:
        self.rests_on_too_few = False
        self._counts: dict[str, ClassCounts] = {}
        self._seen: set[int] | None = None

    def before_run(self, runner: Runner) -> None:
        loops = dict(_loops(runner))
        reports = [one for split, loop in loops.items() for one in _reports(split, loop)]
        compare_names(reports)
        for report in reports:
            if kind_of_files(report.dataset) == COCO:
                check_evaluators(runner.cfg, report)
        what = 'mixes up classes; tools/misc/check_dataset.py says what to write'
        refuse(runner.cfg, what, [*_mistakes(reports)])
        refuse(runner.cfg, 'does not fit its labels', [*label_mistakes(loops, runner.model)])
        problem = ignored_label_problem(runner.cfg)
        refuse(runner.cfg, 'ignores different labels', [Mistake(*problem)] if problem else [])
        for split, loop in loops.items():
            names = class_names(loop.dataloader.dataset)
            counts = names and count_loaded(loop.dataloader.dataset, names)
            if not counts:
                continue
            self._counts[split] = counts
            for metric in getattr(getattr(loop, 'evaluator', None), 'metrics', ()):
                metric.names_absent_classes = False  # this hook does, for any metric
        if self._counts and is_main_process():
            _log_counts(runner, self._counts)
        train = self._counts.get('train')
        for kind, detail in train.findings() if train else ():
            if kind == 'nothing-to-learn':
                raise DatasetError(f'train_dataloader: {detail}')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        classes = _classes_of(checkpoint)
        loops = dict(_loops(runner))
        if classes is None:
            return
        if 'train' in loops and not runner._resume:
            _warn_of_order(runner, classes, loops['train'].dataloader.dataset)
            return
        learned = Naming('the checkpoint', classes)
        mistakes = []
        for split, loop in loops.items():
            for report in _reports(split, loop):
                said = None
                if report.declared is not None:
                    said = difference(learned, report.declared)
                elif report.found is not None:
                    said = difference(learned, report.found, may_lack_last=True)
                if said is not None:
                    said += f'. The checkpoint has {first_ten([*map(repr, classes)])}: name these, '
                    said += 'in this order, in metainfo of the data set, or take another checkpoint'
                    mistakes.append(Mistake(f'{split}_dataloader.{SETTING}', said))
        refuse(runner.cfg, 'has other classes than the checkpoint', mistakes)

    def before_val(self, runner: Runner) -> None:
        self._seen = None

    before_test = before_val

    def after_val_iter(self, runner: Runner, batch_idx: int, **kwargs: Any) -> None:
        self._look('val', kwargs.get('outputs'))

    def after_test_iter(self, runner: Runner, batch_idx: int, **kwargs: Any) -> None:
        self._look('test', kwargs.get('outputs'))

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        present = self._say(runner, 'val', metrics or {})
        self.rests_on_too_few = present is not None and present < min(
            2, len(self._counts['val'].names)
        )

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        self._say(runner, 'test', metrics or {})

    def _look(self, split: str, outputs: Sequence[Any] | None) -> None:
        counts = self._counts.get(split)
        if counts is not None and counts.learned == 'pixels':
            for sample in outputs or ():
                if 'gt_sem_seg' in sample:
                    labels = sample.gt_sem_seg.data
                    # Some ignore a label below 0, which cannot be counted.
                    numbers = labels[labels >= 0].long().bincount()
                    self._seen = (self._seen or set()).union(numbers.nonzero().flatten().tolist())

    def _say(self, runner: Runner, split: str, metrics: Mapping[str, float]) -> int | None:
        """Log which classes have no ground truth; return how many have some, if that is known."""
        counts = self._counts.get(split)
        if counts is None or not metrics:
            return None
        present = set(counts.occurring)
        if counts.learned == 'pixels':
            seen = all_gather_object(self._seen)
            if all(one is None for one in seen):  # there are no label maps
                return None
            present = set().union(*filter(None, seen)) & set(range(len(counts.names)))
        absent = [repr(name) for i, name in enumerate(counts.names) if i not in present]
        if not absent or (counts.is_sample and counts.learned != 'pixels' and len(present) > 1):
            return len(present)
        first, *others = metrics
        named = f'{first}{f" and {len(others)} more metrics" if others else ""} of {split}'
        if not present:
            text = f'{named}: no class has ground truth, so these metrics mean nothing'
        elif len(present) == 1:
            name = counts.names[next(iter(present))]
            text = f'{named}: all ground truth is of {name!r}, none of {first_ten(absent)}'
        else:
            text = f'{named}: no ground truth of {first_ten(absent)}'
            if counts.learned == 'pixels':
                text += '. Such a class counts as 0 in mIoU if it is predicted anywhere, else not'
        saves_best = any(getattr(hook, 'save_best', None) for hook in runner.hooks)
        if split == 'val' and len(present) < 2 and saves_best:
            text += '; no checkpoint is saved as the best one'
        runner.logger.warning(text)
        return len(present)


def rests_on_too_few_classes(runner: Runner) -> bool:
    return any(isinstance(one, ClassGuardHook) and one.rests_on_too_few for one in runner.hooks)


def _loops(runner: Runner) -> Iterator[tuple[str, BaseLoop]]:
    for split in SPLITS:
        loop = getattr(runner, f'_{split}_loop')
        if isinstance(loop, BaseLoop) and hasattr(loop.dataloader.dataset, 'metainfo'):
            yield split, loop


def _reports(split: str, loop: BaseLoop) -> Iterator[Report]:
    """Yield a report of each data set of a loop that has yet to be compared with others."""
    place = f'{split}_dataloader'
    for dataset in leaves(loop.dataloader.dataset):
        declared = declared_names(dataset, f'the classes of {place}')
        found = found_names(dataset, place)
        yield Report(dataset, ConfigDict(), [split], declared=declared, found=found)


def _mistakes(reports: Sequence[Report]) -> Iterator[Mistake]:
    for report in reports:
        for fault in report.faults:
            split = report.splits[0]
            if fault.kind == 'evaluator-file':
                yield Mistake(f'{split}_evaluator.ann_file', f'{fault.path}: {fault.detail}')
            elif fault.kind in ('class-order', 'other-classes'):
                yield Mistake(f'{split}_dataloader.{SETTING}', fault.detail)


def _warn_of_order(runner: Runner, classes: Sequence[str], dataset: Any) -> None:
    """Warn if a training starts from weights that have its classes in another order."""
    names = class_names(dataset) or ()
    if sorted(names) == sorted(classes) and list(names) != list(classes):
        runner.logger.warning(
            f'the checkpoint has the classes {first_ten([*map(repr, classes)])}, the training has '
            f'{first_ten([*map(repr, names)])}: the same in another order, so the head starts with '
            'the weights of other classes. Name them in the order of the checkpoint to keep them'
        )


def _classes_of(checkpoint: Mapping[str, Any]) -> Sequence[str] | None:
    """Return the classes that a checkpoint was trained on; None if it does not say."""
    meta = checkpoint.get('meta')
    if not isinstance(meta, Mapping):
        return None
    described = meta.get('dataset_meta', meta)  # of OpenMMLab's first versions: the meta itself
    if isinstance(described, (list, tuple)):
        described = described[0] if described else {}
    classes = described.get('classes', described.get('CLASSES'))
    return None if isinstance(classes, str) else classes


def _log_counts(runner: Runner, counts: dict[str, ClassCounts]) -> None:
    samples = [
        f'{one.num_images:,} of {one.total:,} images of {split}'
        for split, one in counts.items()
        if one.is_sample
    ]
    said = f' in {" and ".join(samples)}; tools/misc/check_dataset.py counts all' if samples else ''
    runner.logger.info('\n'.join([f'classes{said}:', *to_tables(counts)]))
    for split, one in counts.items():
        for kind, detail in one.findings():
            runner.logger.warning(f'{split}_dataloader: {kind}: {detail}')
