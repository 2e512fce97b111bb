"""Data loaders that are refused where no image is left, and loops that evaluate on all of them."""

import json
import logging
import traceback
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS, LOOPS
from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop
from torch import nn
from torch.utils.data import DataLoader

from ...datasets.check.coco import first_problem
from ...datasets.check.records import PARTS
from ...datasets.check.settings import below_wrappers
from ...datasets.class_names import leaves, surplus
from ...datasets.loading.passed_over import files_of, passed_over
from ...datasets.loading.reading import walk_settings
from ...datasets.missing_masks import check_masks
from ...utils.encoding import encoding_problem
from ...utils.errors import InvalidValueError, UserError
from ...utils.listing import first_ten
from ..config_check import ConfigError, check_classes
from ..scopes import class_names


class UnreadableDatasetError(UserError, ValueError):
    """Annotations of a data set are in another form than the library reads."""


class EmptyDatasetError(UserError, ValueError):
    """A data set has no images, or none that its filters leave."""


def checked_dataloader(runner: Runner, settings: DataLoader | dict, name: str) -> DataLoader:
    """Build a data loader as mmengine does, unless its data set holds nothing.

    Heads that predict another number of classes are warned of, and images that are not read.
    """
    if isinstance(settings, DataLoader):
        return settings
    try:
        loader = runner.build_dataloader(
            settings,
            seed=runner.seed,
            diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False),
        )
    except AssertionError as error:
        if 'number of subfolders' not in str(error):
            _explain(settings['dataset'], name, error)
            raise
        raise ConfigError(f'{name}: {_what_folders(settings["dataset"])}') from error
    except ValueError as error:
        # mmengine packs the records of a data set into one array, and fails where it has none.
        if 'need at least one array' not in str(error):
            _explain(settings['dataset'], name, error)
            raise
        loader = None
    except (KeyError, TypeError) as error:
        _explain(settings['dataset'], name, error)
        raise
    if loader is None or len(loader.dataset) == 0:
        raise EmptyDatasetError(f'{name}: {_what_is_left(settings["dataset"])}')
    check_masks(settings, loader.dataset, name)
    if isinstance(runner.model, nn.Module):  # FlexibleRunner builds it later
        check_classes(runner.model, name, class_names(loader.dataset))
    if is_main_process():
        for dataset in leaves(loader.dataset):
            _warn_of_unread_images(dataset, name)
    return loader


class _CheckedLoop(BaseLoop):
    loader: str

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, *args: Any, **kwargs: Any
    ) -> None:
        if any(one.get('on_corrupt') == 'skip' for one in walk_settings(dataloader)):
            raise InvalidValueError(
                f"{self.loader}: on_corrupt='skip' is allowed in training only, because a metric "
                "must be of all images; set 'raise' here"
            )
        super().__init__(
            runner, checked_dataloader(runner, dataloader, self.loader), *args, **kwargs
        )


@LOOPS.register_module()
class CheckedValLoop(_CheckedLoop, ValLoop):
    """Validates on every image of a data set that has some.

    It takes the arguments of mmengine's ``ValLoop``.

    Raises:
        ValueError: No image is left, or broken ones would be skipped.
    """

    loader = 'val_dataloader'


@LOOPS.register_module()
class CheckedTestLoop(_CheckedLoop, TestLoop):
    """Tests as :class:`CheckedValLoop` validates."""

    loader = 'test_dataloader'


def _explain(settings: dict[str, Any], name: str, error: Exception) -> None:
    """Raise an error that says what is wrong with the annotations of a data set, if they are it."""
    frames = traceback.extract_tb(error.__traceback__)
    if not any(one.name in ('full_init', 'load_data_list') for one in frames):
        return  # it comes from elsewhere, such as a transform
    for part in below_wrappers(settings):
        path = Path(part.get('data_root') or '', part.get('ann_file') or '')
        if not part.get('ann_file') or not path.is_file():
            continue
        data = path.read_bytes()
        problem = encoding_problem(data)
        if isinstance(error, JSONDecodeError):
            problem = problem or f'it is no JSON: {error}'
        elif path.suffix == '.json' and not problem:
            content = json.loads(data)
            is_coco = isinstance(content, dict) and not content.keys().isdisjoint(PARTS)
            problem = first_problem(content) if is_coco else ''
            if isinstance(error, KeyError) and error.args == ('img',):  # of mmdet's data sets
                raise ConfigError(
                    f"{name}.dataset.data_prefix must name the images' folder, such as img='train/'"
                ) from error
            if isinstance(error, KeyError) and not problem:
                problem = f'a record has no {error}'
        if problem:
            raise UnreadableDatasetError(
                f'{name}: {path}: {problem}; tools/misc/check_dataset.py says more'
            ) from error


def _warn_of_unread_images(dataset: Any, name: str) -> None:
    """Warn of images in the folders of a data set that lists the files of folders."""
    if hasattr(dataset, 'extensions'):
        used = None
    elif hasattr(dataset, 'img_suffix') and hasattr(dataset, 'seg_map_suffix'):
        used = {*files_of(map(dataset.get_data_info, range(len(dataset))))}
    else:
        return
    unread = passed_over(dataset, used, listed=False)
    if unread:
        print_log(f'{name}: {unread}', logger='current', level=logging.WARNING)


def _what_is_left(settings: dict[str, Any]) -> str:
    """Say of how many images none is left, for the first such data set below the wrappers."""
    for part in below_wrappers(settings):
        dataset = DATASETS.build({**part, 'serialize_data': False})
        if len(dataset) == 0:
            break
    images = dataset.load_data_list()
    least = (dataset.filter_cfg or {}).get('min_size', 0)
    small = sum(min(one.get('width', least), one.get('height', least)) < least for one in images)
    hint = f'. {small} have a side under min_size={least}: lower it in filter_cfg' if small else ''
    classes = first_ten([str(one) for one in class_names(dataset) or ['none']])
    place = dataset.ann_file or dataset.data_root
    return (
        f'0 of {len(images)} images left after filter_cfg={dataset.filter_cfg}, '
        f'indices={part.get("indices")}, of {place} with the classes {classes}{hint}'
    )


def _what_folders(settings: dict[str, Any]) -> str:
    for part in below_wrappers(settings):
        dataset = DATASETS.build({**part, 'lazy_init': True})
        folders = sorted(one.name for one in Path(dataset.img_prefix).iterdir() if one.is_dir())
        classes = class_names(dataset) or []
        if len(folders) != len(classes):
            break
    return (
        f'{dataset.img_prefix} has {len(folders)} class folders, and the config has '
        f'{len(classes)} classes; {surplus(folders, classes)}'
    )
