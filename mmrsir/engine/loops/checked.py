"""Data loaders that are refused where no image is left, and loops that evaluate on all of them."""

import traceback
from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop
from torch import nn
from torch.utils.data import DataLoader

from ...datasets.check.loaded import DatasetError, check_objects, explain, warn_of_unread_images
from ...utils.errors import InvalidValueError
from ...utils.settings import walk_settings
from ..config_check import check_classes
from ..scopes import class_names


def checked_dataloader(runner: Runner, settings: DataLoader | dict, name: str) -> DataLoader:
    """Build a data loader as mmengine does, unless its data set holds nothing of use.

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
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if any(one.name in ('full_init', 'load_data_list') for one in frames):
            explain(settings['dataset'], name, error)
        raise  # it comes from elsewhere, such as a transform
    if len(loader.dataset) == 0:
        explain(settings['dataset'], name)
        raise DatasetError(f'{name}: the data set is empty')
    check_objects(settings['dataset'], loader.dataset, name)
    if isinstance(runner.model, nn.Module):  # FlexibleRunner builds it later
        check_classes(runner.model, name, class_names(loader.dataset))
    warn_of_unread_images(loader.dataset, name)
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
