"""Check of images with label maps, as mmseg's ``BaseSegDataset`` reads them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from .faults import Fault
from .images import inspect_image, inspect_label_map
from .processes import Inspector


def check(dataset: Any, inspector: Inspector) -> Iterator[Fault]:
    """Check images and label maps.

    Args:
        dataset: The ``BaseSegDataset``, of which nothing is loaded yet.
        inspector: Decodes the files.

    Yields:
        Faults.

    Raises:
        OSError: The list or a folder cannot be read.
    """
    map_of = {s['img_path']: s.get('seg_map_path') for s in dataset.load_data_list()}
    image_sizes = {}
    for inspection in inspector.inspect(inspect_image, list(map_of), 'images'):
        yield from inspection.faults
        image_sizes[map_of[inspection.path]] = inspection.size
    maps = [path for path in map_of.values() if path is not None]
    inspect_map = partial(inspect_label_map, labels=_labels(dataset))
    for inspection in inspector.inspect(inspect_map, maps, 'label maps'):
        yield from inspection.faults
        size, image_size = inspection.size, image_sizes[inspection.path]
        if size and image_size and size != image_size:
            detail = f'is {size[0]} x {size[1]} pixels, its image {image_size[0]} x {image_size[1]}'
            yield Fault('wrong-size', inspection.path, detail)


def _labels(dataset: Any) -> frozenset[int] | None:
    """The labels that a label map may have; None where the classes are not known."""
    # Where the config takes some of the classes, label maps still have all.
    known = dataset.label_map or dataset.metainfo.get('classes')
    if known is None:
        return None
    count = len(known) + bool(dataset.reduce_zero_label)  # 0 is ignored then, classes follow
    return frozenset({*range(count), dataset.ignore_index})
