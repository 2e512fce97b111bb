"""Settings of a config that must agree: the label that is ignored, and how splits are read."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import ConfigDict

from ..loading.reading import Reading, transforms_of

_IGNORED = 255  # by default, in all of mmseg
_HEADS = ('decode_head', 'auxiliary_head')


def below_wrappers(settings: Any) -> Iterator[Any]:
    """The data sets that RepeatDataset, ConcatDataset and their like are made of."""
    if 'dataset' in settings:
        yield from below_wrappers(settings['dataset'])
    elif 'datasets' in settings:
        for part in settings['datasets']:
            yield from below_wrappers(part)
    else:
        yield settings


def as_list(settings: Any) -> list[Any]:
    return list(settings) if isinstance(settings, (list, tuple)) else [settings] if settings else []


def ignored_label_problem(cfg: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return a setting of a segmentor that ignores another label than the rest, and all values."""
    settings: dict[Any, list[str]] = {}
    for name, label in _ignored_labels(cfg):
        if label is not None:  # as masked losses want it
            settings.setdefault(label, []).append(name)
    if len(settings) < 2:
        return None
    rare = min(settings.values(), key=len)[0]
    said = '; '.join(f'{label} in {", ".join(names)}' for label, names in settings.items())
    return rare, f'{said}. Set all to the value that label maps have where there is no class'


def _ignored_labels(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if cfg.get('default_scope') != 'mmseg':
        return
    model = cfg.get('model') or {}
    for name in _HEADS:
        for head in as_list(model.get(name)):
            yield f'model.{name}.ignore_index', head.get('ignore_index', _IGNORED)
    preprocessor = model.get('data_preprocessor') or {}
    if preprocessor.get('size') or preprocessor.get('size_divisor'):
        yield 'model.data_preprocessor.seg_pad_val', preprocessor.get('seg_pad_val', _IGNORED)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        for dataset in below_wrappers(loader['dataset']) if isinstance(loader, dict) else ():
            name = f'{split}_dataloader.dataset.ignore_index'
            yield name, dataset.get('ignore_index', _IGNORED)
        for one in as_list(cfg.get(f'{split}_evaluator')):
            if one.get('type') == 'IoUMetric':
                yield f'{split}_evaluator.ignore_index', one.get('ignore_index', _IGNORED)


def zero_label_problem(of_transform: bool | None, of_dataset: bool) -> str:
    """Say that ``LoadAnnotations`` and its data set treat 0 differently; empty if they do not."""
    if of_transform is None or bool(of_transform) == bool(of_dataset):
        return ''
    return (
        f'LoadAnnotations has reduce_zero_label={of_transform}, its data set {of_dataset}. Delete '
        'the first, and give the data set True if 0 in the label maps stands for no class, or '
        'False if 0 is the first class'
    )


def zero_label_setting(settings: ConfigDict) -> bool | None:
    """Return ``reduce_zero_label`` of the first ``LoadAnnotations`` of a data set that has one."""
    transforms = transforms_of(settings.get('pipeline'), 'LoadAnnotations')
    values = (one.get('reduce_zero_label') for one in transforms)
    return next((bool(value) for value in values if value is not None), None)


def reading_settings(dataset: Any, settings: ConfigDict) -> dict[str, Any]:
    """How a data set reads images and labels, by the name of each setting."""
    reading = Reading.of(settings) or Reading()
    found: dict[str, Any] = {
        'color_type': reading.color_type,
        'imdecode_backend': reading.backend,
        'value_range': reading.value_range,
        'to_rgb of Normalize': None,
    }
    if hasattr(dataset, 'reduce_zero_label'):
        found['reduce_zero_label'] = bool(dataset.reduce_zero_label)
        found['label_map'] = dataset.label_map
        found['imdecode_backend of LoadAnnotations'] = 'pillow'
    for transform in transforms_of(settings.get('pipeline'), 'Normalize'):
        found['to_rgb of Normalize'] = transform.get('to_rgb', True)
    if 'label_map' in found:
        for transform in transforms_of(settings.get('pipeline'), 'LoadAnnotations'):
            backend = transform.get('imdecode_backend', 'pillow')
            found['imdecode_backend of LoadAnnotations'] = backend
    return found


def reading_difference(trained: Mapping[str, Any], evaluated: Mapping[str, Any]) -> str:
    """Say what an evaluation reads in another way than the training; empty if nothing."""
    return '; '.join(
        f'{name} is {trained[name]!r} in train, {value!r} here'
        for name, value in evaluated.items()
        if name in trained and trained[name] != value
    )
