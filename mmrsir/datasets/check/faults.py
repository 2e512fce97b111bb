"""The kinds of faults that a data set can have.

An error stops training, or gives it wrong or no data. A warning names what training copes with; the
data sets as they are published have some of these.
"""

from dataclasses import dataclass, field

BOXES_ONLY = 'docs/tutorials/fine_tune_detection.md#boxes-without-masks'
ERRORS = {
    'missing-file': 'there is no such file',
    'missing-folder': 'there is no such folder',
    'unreadable': 'it cannot be read, or is no regular file',
    'empty-file': 'it has no bytes',
    'not-an-image': 'its content is of no known image format',
    'damaged': 'it is cut or damaged: pixels would be missing or wrong',
    'crash': 'decoding it ended the process',
    'hang': 'decoding it does not end',
    'value-range': 'which of its values are black and white is not known, or it is nearly black',
    'orientation': 'its labels are upside down or mirrored: they are not of the pixels as read',
    'wrong-size': 'it has another size than its annotation',
    'encoding': 'training cannot read the text',
    'bad-json': 'it is not JSON of the format',
    'bad-record': 'a record lacks a field, or has a wrong one',
    'duplicate-id': 'two records have the same id',
    'dangling-image': 'an annotation is of an image that is not listed',
    'dangling-category': 'an annotation is of a category that is not listed',
    'bad-box': 'a box reaches out of its image, or is none',
    'bad-polygon': 'a polygon has too few or odd coordinates, or is none',
    'bad-rle': 'run lengths are not those of the image',
    'no-mask': f'objects have no mask. For boxes alone train Faster R-CNN, see {BOXES_ONLY}',
    'mask-box': 'a mask is empty, or in another place than its box or image',
    'missing-class': "a class of the config is none of the file's categories",
    'several-channels': 'a label map has more than one channel',
    'bad-line': 'a line of a list is not "<image> <label>"',
    'label-range': 'a label is that of no class',
    'class-count': 'model, config and data have different numbers of classes',
    'class-order': 'the data and the config call a label differently: names would be swapped',
    'other-classes': 'a label is another class than in training: no metric would mean a thing',
    'evaluator-file': 'the evaluator compares with other annotations than those of the data set',
    'nothing-to-learn': 'no object or pixel of any class is left to learn from or to measure by',
    'single-class': 'only one class occurs: a model that always says it looks perfect',
    'zero-label': 'reduce_zero_label=True, and labels seem to start at 0: names would be shifted',
    'two-records': 'a file is listed twice, and objects of one record are background for the other',
    'two-sizes': 'a file is listed with several sizes',
    'no-images': 'no image is left to train on',
    'unloadable': 'the library that trains cannot load it',
}
WARNINGS = {
    'wrong-suffix': 'the content is of another format than the name says; it is read all the same',
    'passed-over': 'images lie in its folder that are not read; BaseSegDataset and CustomDataset '
    'in configs that are based on ours take every suffix',
    'no-ground-truth': 'a set without annotations can be predicted, and has no metric',
    'superfluous': 'a JPEG has superfluous bytes: mostly harmless, now and then a sign of damage',
    'dark': 'most of the range of values is not used, and images come out dark',
    'unclear-orientation': 'whether labels are of the turned or the stored pixels cannot be told: '
    'look at them with browse_dataset.py',
    'frames': 'it has several frames or pages, of which the first is read',
    'many-objects': 'images have more objects than the model finds or AP counts',
    'loose-mask': 'a mask reaches out of its box, or fills little of it',
    'left-out': 'an annotation has no area; the data set leaves it out',
    'no-annotations': 'an image without annotations of the classes',
    'empty-class': 'classes that occur nowhere',
    'rare-class': 'classes that occur far more seldom than the others',
    'crowd-class': 'nearly all objects of a class are crowds (iscrowd=1), which teach nothing',
    'ignored-class': 'nearly all objects or pixels are ignored',
    'other-name': 'the data calls a class otherwise than the config',
    'same-name': 'names of classes that differ in nothing but spelling',
    'trained-on': 'an image of validation or test is trained on too: a metric is too good',
    'same-pixels': 'two images hold the same pixels; they count twice',
    'repeated-file': 'a file is listed twice with the same annotations; it counts twice',
}


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a data set.

    Attributes:
        kind: A key of ``ERRORS`` or ``WARNINGS``.
        path: The file or folder that it is about.
        detail: What exactly is wrong.
    """

    kind: str
    path: str
    detail: str

    @property
    def is_error(self) -> bool:
        """Whether it is an error; otherwise it is a warning."""
        return self.kind in ERRORS


@dataclass(frozen=True)
class Inspection:
    """What was found of one image or label map."""

    path: str
    size: tuple[int, int] | None = None  # width, height as training loads it; None: not decoded
    faults: tuple[Fault, ...] = ()
    digest: bytes | None = field(default=None, compare=False)  # of the pixels of an image
    values: dict[int, int] | None = None  # of a label map: how many pixels have each value
    orientation: int = field(default=1, compare=False)  # of EXIF
    gain: float | None = field(default=None, compare=False)  # log of how much better labels fit
    dtype: str = field(default='uint8', compare=False)  # of its values as stored
    extent: tuple[float, float] = field(default=(0.0, 255.0), compare=False)  # their range
