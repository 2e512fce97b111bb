"""The kinds of faults that a data set can have.

An error stops training, or gives it wrong or no data. A warning names what training copes with; the
data sets as they are published have some of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BOXES_ONLY = 'docs/tutorials/fine_tune_detection.md#boxes-without-masks'
ERRORS = {
    'missing-file': 'there is no such file',
    'missing-folder': 'there is no such folder',
    'unreadable': 'it cannot be read, or is not a regular file',
    'empty-file': 'it is empty',
    'not-an-image': 'its content has no known image format',
    'damaged': 'it is cut or damaged: pixels would be missing or wrong',
    'crash': 'decoding it ended the process',
    'hang': 'decoding it does not end',
    'value-range': 'its values of black and white are unknown, or it is nearly black',
    'orientation': 'its labels are upside down or mirrored: they do not fit the pixels as read',
    'wrong-size': 'it has another size than its annotation',
    'encoding': 'training cannot read the text',
    'bad-json': 'it is not a JSON file of the expected format',
    'bad-record': 'a record lacks a field, or has a wrong one',
    'duplicate-id': 'two records have the same id',
    'dangling-image': 'an annotation names an image that is not listed',
    'dangling-category': 'an annotation names a category that is not listed',
    'bad-box': 'a box reaches out of its image, or is not four numbers with an area',
    'bad-polygon': 'a polygon is no list of numbers, or has too few or an odd number of them',
    'bad-rle': 'a run-length encoding does not fit the size of its image',
    'no-mask': f'objects have no mask. For boxes alone train Faster R-CNN, see {BOXES_ONLY}',
    'mask-box': 'a mask is empty, or lies outside its box or image',
    'missing-class': 'the file has no category of this name from the config',
    'several-channels': 'a label map has several channels; save it with one, whose values are the '
    'numbers of the classes',
    'bad-line': 'a line of a list is not "<image> <label>"',
    'label-range': 'a label stands for no class',
    'class-count': 'model, config and data have different numbers of classes',
    'class-order': 'data and config name a label differently: results would have wrong names',
    'other-classes': 'a label is another class than in training: metrics would mean nothing',
    'evaluator-file': 'the evaluator reads other annotations than the data set',
    'nothing-to-learn': 'no object or pixel of any class is left',
    'single-class': 'only one class occurs: a model that always predicts it is perfect',
    'zero-label': 'reduce_zero_label=True, but labels seem to start at 0: all are off by one',
    'zero-setting': 'two settings of reduce_zero_label contradict one another',
    'ignore-index': 'parts of the config ignore different labels: what one ignores, another counts',
    'two-records': 'a file is listed twice, and objects of one record are background in the other. '
    'Give all of its annotations the same image id',
    'two-sizes': 'a file is listed with several sizes',
    'no-images': 'no image is left to train on',
    'unloadable': 'the library that trains cannot load it',
}
WARNINGS = {
    'wrong-suffix': 'the content has another format than the name says; it is read anyway',
    'passed-over': 'some images in its folder are not read',
    'no-ground-truth': 'there is no metric. To write predictions for a server, set '
    'format_only=True and outfile_prefix in test_evaluator',
    'superfluous': 'a JPEG has superfluous bytes: usually harmless, sometimes a sign of damage',
    'dark': 'images use little of their range of values, and come out dark',
    'unclear-orientation': 'labels may fit the turned or the stored pixels: look at them with '
    'browse_dataset.py',
    'frames': 'it has several frames or pages; only the first is read',
    'many-objects': 'images have more objects than the model finds or AP counts',
    'loose-mask': 'a mask reaches out of its box, or fills little of it',
    'left-out': 'an annotation has no area; the data set leaves it out',
    'unused-class': 'a category is not in the config: its objects count as background',
    'no-annotations': 'an image has no annotation of the classes',
    'empty-class': 'a class occurs nowhere',
    'rare-class': 'a class occurs far less often than the others',
    'crowd-class': 'nearly all objects of a class are crowds (iscrowd=1): training ignores them',
    'ignored-class': 'nearly all objects or pixels are ignored',
    'other-name': 'the data has another name for a class than the config',
    'same-name': 'names of classes differ only in spelling',
    'other-reading': 'images or labels are read in another way than in training',
    'trained-on': 'an image of validation or test is also in training: metrics are too good',
    'same-pixels': 'two images hold the same pixels; they count twice',
    'repeated-file': 'a file is listed twice with the same annotations; it counts twice',
}


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a data set."""

    kind: str  # a key of ERRORS or WARNINGS
    path: str  # the file or folder that it is about
    detail: str

    @property
    def is_error(self) -> bool:
        return self.kind in ERRORS


@dataclass(frozen=True)
class Inspection:
    path: str
    size: tuple[int, int] | None = None  # width, height as training loads it; None: not decoded
    faults: tuple[Fault, ...] = ()
    digest: bytes | None = field(default=None, compare=False)  # of the pixels of an image
    values: dict[int, int] | None = None  # of a label map: how many pixels have each value
    orientation: int = field(default=1, compare=False)  # of EXIF
    gain: float | None = field(default=None, compare=False)  # log of how much better labels fit
    dtype: str = field(default='uint8', compare=False)  # of its values as stored
    extent: tuple[float, float] = field(default=(0.0, 255.0), compare=False)  # their range

    @classmethod
    def of(cls, path: str, found: Mapping[str, str], **seen: Any) -> 'Inspection':
        """Make one from the kinds of faults of a file and their details."""
        faults = tuple(Fault(kind, path, detail) for kind, detail in found.items())
        return cls(path, faults=faults, **seen)
