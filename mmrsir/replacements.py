"""What mmrsir replaces in other libraries, for projects that ask for it.

``import mmrsir`` registers new names and replaces none of this. Importing this module does::

    custom_imports = dict(imports=['mmrsir', 'mmrsir.replacements'])

So does :func:`enable`; :func:`disable` puts everything back. What is replaced, and why:

- The loaders of mmengine's ``CheckpointLoader``: they fall back to running a checkpoint that they
  cannot read as data. Ours never do (:mod:`mmrsir.checkpoints.safe_loading`), and read
  ``.safetensors`` files too.
- ``LoadImageFromFile`` in the registries of mmcv and mmpretrain: it hands on images of which data
  is missing. Ours refuses them, and reads more formats.
- ``CustomDataset`` of mmpretrain and ``BaseSegDataset`` of mmseg: they pass over images whose
  suffix they do not expect. ``LoadAnnotations`` of mmseg: it refuses large label maps.
- ``Visualizer.draw_texts`` of mmengine and ``SegLocalVisualizer`` of mmseg: they draw boxes and
  question marks for names of classes in other scripts.
- ``CocoMetric`` of mmdet: it gives a wrong AP for some ids. Ours reports the same figures for any.
- ``BaseInferencer._get_models_from_metafile`` of mmengine, and the entries of mmpretrain's
  ``ModelHub``: the libraries' inferencers then know our configs by name.
- ``Registry.import_from_location`` of mmengine: a library fills its registries when they are first
  asked, and our classes have to follow.

Classes of a registry alone are replaced, so ``mmcv.transforms.LoadImageFromFile`` stays mmcv's.
"""

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any

from mmengine.infer import BaseInferencer
from mmengine.registry import DATASETS, METRICS, TRANSFORMS, VISUALIZERS, Registry
from mmengine.runner import CheckpointLoader
from mmengine.visualization import Visualizer

from .checkpoints.remote import LOADERS
from .engine.config_files import metafiles, models_of
from .inheritance import root
from .visualization.fonts import draw_texts

# Of each library and root registry: the classes that take the place of those of a name.
CLASSES = {
    ('mmengine', TRANSFORMS): {'LoadImageFromFile': 'mmrsir.datasets:LoadImageFromFile'},
    ('mmdet', METRICS): {'CocoMetric': 'mmrsir.evaluation:CheckedCocoMetric'},
    ('mmseg', DATASETS): {'BaseSegDataset': 'mmrsir.datasets.loading.mmseg:BaseSegDataset'},
    ('mmseg', TRANSFORMS): {'LoadAnnotations': 'mmrsir.datasets.loading.mmseg:LoadAnnotations'},
    ('mmseg', VISUALIZERS): {'SegLocalVisualizer': 'mmrsir.visualization.mmseg:SegLocalVisualizer'},
    ('mmpretrain', DATASETS): {'CustomDataset': 'mmrsir.datasets.loading.mmpretrain:CustomDataset'},
    ('mmpretrain', TRANSFORMS): {'LoadImageFromFile': 'mmrsir.datasets:LoadImageFromFile'},
}
_NOTHING = object()
_undo: list[Callable[[], None]] = []  # empty while nothing is replaced
_read_library = BaseInferencer._get_models_from_metafile
_import_from_location = Registry.import_from_location


def enable() -> None:
    """Replace what the module's description lists; nothing happens if that is done."""
    if _undo:
        return
    for prefix, loader in LOADERS.items():
        _put(lambda: CheckpointLoader._schemes, prefix, loader)
    _set(BaseInferencer, '_get_models_from_metafile', staticmethod(_read_models))
    _set(Registry, 'import_from_location', _fill)
    _set(Visualizer, 'draw_texts', draw_texts)
    for parent in (DATASETS, METRICS, TRANSFORMS, VISUALIZERS):
        for registry in (parent, *parent.children.values()):
            if registry is parent or registry._imported:
                _replace_classes(registry)
    if find_spec('mmpretrain') is not None:
        with suppress(Exception):  # it may be broken, and no matter to a training of mmdet
            _add_to_hub()


def disable() -> None:
    """Put back what :func:`enable` replaced; what somebody else has replaced since stays."""
    while _undo:
        _undo.pop()()


def _put(mapping: Callable[[], MutableMapping[str, Any]], key: str, value: Any) -> None:
    """Set an entry; the mapping is asked for again to undo it, as mmengine makes new ones."""
    before = mapping().get(key, _NOTHING)
    mapping()[key] = value

    def undo() -> None:
        if mapping().get(key) is not value:
            return
        if before is _NOTHING:
            del mapping()[key]
        else:
            mapping()[key] = before

    _undo.append(undo)


def _set(owner: type, name: str, value: Any) -> None:
    before = vars(owner)[name]
    setattr(owner, name, value)
    _undo.append(partial(setattr, owner, name, before))


def _fill(registry: Registry) -> None:
    """Fill a registry as mmengine does, and then replace classes in it."""
    filled = registry._imported
    _import_from_location(registry)
    if not filled:
        _replace_classes(registry)


def _replace_classes(registry: Registry) -> None:
    for name, place in CLASSES.get((registry.scope, registry.root), {}).items():
        _put(lambda: registry.module_dict, name, resolve_name(place))


def _read_models(folder: str) -> Iterator[dict[str, Any]]:
    """Read the models of a library's folder, then ours for that library."""
    yield from _read_library(folder)
    for scope in ('mmdet', 'mmseg'):
        if scope in sys.modules and folder == BaseInferencer._get_repo_or_mim_dir(scope):
            yield from models_of(scope)


def _add_to_hub() -> None:
    from mmpretrain.apis import ModelHub

    before = set(ModelHub._models_dict)
    for metafile in metafiles('mmpretrain'):
        ModelHub.register_model_index(metafile, config_prefix=root())
    for name in set(ModelHub._models_dict) - before:
        _undo.append(partial(ModelHub._models_dict.pop, name, None))


enable()
