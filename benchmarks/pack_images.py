"""Pack a data set of many small images into few files, to carry it to another machine.

Validation images stay as they are. Training images are encoded again, with loss, as well as the
size allows: 1,024 of them share an AVIF file. A pack is for a training on a machine without a
network; the licence of the data set holds for it, too.

    python benchmarks/pack_images.py pack data/tiny_imagenet packs --max-mib 84 --parts 2
    python benchmarks/pack_images.py unpack packs/part1 packs/part2 --out data/tiny_imagenet
"""

import argparse
import io
import math
import os
import tarfile
from bisect import bisect_left
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmrsir.utils.arguments import check_int
from mmrsir.utils.errors import InvalidValueError, plain_errors

SIDE = 32  # of a mosaic, in images
SAMPLES = 8  # mosaics that the quality is chosen by
QUALITIES = range(10, 96)
EXACT = 'exact.tar.xz'  # the lists, and the images that stay as they are
SPEED = 9  # of the encoder, of 10; slower ones gain little

Listed = list[tuple[Path, str]]


def pack(root: Path, out: Path, max_mib: float, parts: int, workers: int) -> None:
    """Pack what ``meta/train.txt`` and ``meta/val.txt`` of a folder list.

    The files are spread over so many ``parts``, the folders ``part1`` and so on in ``out``, of
    ``max_mib`` all together.
    """
    train, val = (read_list(root, split) for split in ('train', 'val'))
    folders = [out / f'part{number + 1}' for number in range(parts)]
    for folder in folders:
        folder.mkdir(parents=True)
    exact = folders[0] / EXACT
    _write_exact(exact, root, train, val)
    left = int(max_mib * 2**20) - exact.stat().st_size

    groups = [train[start : start + SIDE**2] for start in range(0, len(train), SIDE**2)]
    with ThreadPoolExecutor(workers) as pool:
        chosen = groups[:: math.ceil(len(groups) / SAMPLES)]
        samples = list(pool.map(_mosaic, chosen))
        images = sum(map(len, chosen))

        def too_large(quality: int) -> bool:
            encoded = pool.map(partial(_encode, quality=quality), samples)
            return sum(map(len, encoded)) / images * len(train) > left

        quality = QUALITIES.start + bisect_left(QUALITIES, True, key=too_large)
        mosaics: list[bytes] = []
        while not mosaics or sum(map(len, mosaics)) > left:  # the samples may be smaller than most
            quality -= 1
            if quality not in QUALITIES:
                raise InvalidValueError(
                    f'--max-mib={max_mib:g} is too little: {exact} alone takes '
                    f'{exact.stat().st_size / 2**20:.1f}'
                )
            mosaics = list(pool.map(partial(_encode_group, quality=quality), groups))
        sizes = [exact.stat().st_size] + [0] * (parts - 1)
        for number, encoded in enumerate(mosaics):
            part = sizes.index(min(sizes))
            (folders[part] / f'train_{number:04}.avif').write_bytes(encoded)
            sizes[part] += len(encoded)
        ratios = [_psnr(one, _decode(_encode(one, quality))) for one in samples]
    total = ', '.join(f'{size / 2**20:.1f}' for size in sizes)
    print(
        f'{len(train)} images for training at quality {quality}, PSNR {np.mean(ratios):.1f} dB '
        f'({images} images), and {len(val)} for validation as they are: {total} MiB'
    )


def unpack(parts: Sequence[Path], out: Path, workers: int) -> None:
    """Write the data set that parts hold: PNG files of what was encoded, and lists."""
    if (out / 'meta').exists():
        raise FileExistsError(f'{out} holds a data set already: name another folder')
    files = {path.name: path for part in parts for path in part.iterdir()}
    if EXACT not in files:
        raise FileNotFoundError(f'{EXACT} is in none of {", ".join(map(str, parts))}')
    with tarfile.open(files[EXACT]) as archive:
        count = len(_lines(archive, 'meta/train.txt'))
        needed = [f'train_{number:04}.avif' for number in range(math.ceil(count / SIDE**2))]
        missing = [name for name in needed if name not in files]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(needed)} files are missing: {missing[0]}'
            )
        archive.extractall(out, filter='data')
    (out / 'train').mkdir()

    def write(number: int) -> None:
        images = _cut(_decode(files[needed[number]].read_bytes()))
        for place, image in enumerate(images[: count - number * SIDE**2]):
            path = out / _name(number * SIDE**2 + place)
            cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(write, range(len(needed))))
    print(f'wrote {count} images for training, and those for validation, to {out}')


def read_list(root: Path, split: str) -> Listed:
    """Return the images of a list of the converters, with their labels."""
    lines = (root / f'meta/{split}.txt').read_text(encoding='utf-8').splitlines()
    return [(root / path, label) for path, label in (line.rsplit(' ', 1) for line in lines)]


def _name(number: int) -> str:
    return f'train/{number:06}.png'


def _lines(archive: tarfile.TarFile, name: str) -> list[bytes]:
    member = archive.extractfile(name)
    return member.read().splitlines() if member else []


def _write_exact(path: Path, root: Path, train: Listed, val: Listed) -> None:
    names = [f'val/{number:06}{image.suffix}' for number, (image, _) in enumerate(val)]
    lists = {
        'classes': (root / 'meta/classes.txt').read_text(encoding='utf-8'),
        'train': ''.join(f'{_name(i)} {label}\n' for i, (_, label) in enumerate(train)),
        'val': ''.join(f'{name} {label}\n' for name, (_, label) in zip(names, val, strict=True)),
    }
    # Neighbouring files share their headers, which a small window is enough for.
    with tarfile.open(path, 'w:xz', preset=1) as archive:
        for part, text in lists.items():
            info = tarfile.TarInfo(f'meta/{part}.txt')
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
        for name, (image, _) in zip(names, val, strict=True):
            archive.add(image, name)


def _mosaic(images: Listed) -> np.ndarray:
    """Return images in rows; black where there are none."""
    pixels = [np.asarray(Image.open(path).convert('RGB')) for path, _ in images]
    for (path, _), one in zip(images, pixels, strict=True):
        if one.shape != pixels[0].shape:
            raise InvalidValueError(
                f'{path} has {one.shape}, others {pixels[0].shape}: one size is needed'
            )
    height, width, _ = pixels[0].shape
    tiles = np.zeros((SIDE**2, height, width, 3), np.uint8)
    tiles[: len(pixels)] = pixels
    rows = tiles.reshape(SIDE, SIDE, height, width, 3).transpose(0, 2, 1, 3, 4)
    return rows.reshape(SIDE * height, SIDE * width, 3)


def _cut(mosaic: np.ndarray) -> np.ndarray:
    """Return the images of a mosaic, (SIDE ** 2, height, width, 3)."""
    height, width = (size // SIDE for size in mosaic.shape[:2])
    tiles = mosaic.reshape(SIDE, height, SIDE, width, 3).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(-1, height, width, 3)


def _encode(mosaic: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mosaic).save(file, 'AVIF', quality=quality, speed=SPEED, max_threads=1)
    return file.getvalue()


def _encode_group(images: Listed, quality: int) -> bytes:
    return _encode(_mosaic(images), quality)


def _decode(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'))


def _psnr(mosaic: np.ndarray, decoded: np.ndarray) -> float:
    """Return the mean over images of their PSNR in dB; those that are the same count 60."""
    error = (_cut(mosaic).astype(float) - _cut(decoded)) ** 2
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error.mean((1, 2, 3)), 0.065))))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='threads')
    commands = parser.add_subparsers(dest='command', required=True)
    packing = commands.add_parser('pack')
    packing.add_argument('root', type=Path, help='folder of the data set, with meta/train.txt')
    packing.add_argument('out', type=Path, help='folder for the parts')
    packing.add_argument('--max-mib', type=float, default=48, help='of all parts (default: 48)')
    packing.add_argument('--parts', type=int, default=1, help='to carry one by one (default: 1)')
    unpacking = commands.add_parser('unpack')
    unpacking.add_argument('parts', type=Path, nargs='+', help='all parts')
    unpacking.add_argument('--out', type=Path, required=True, help='folder for the data set')
    args = parser.parse_args(argv)
    check_int('--workers', args.workers, 1)
    if args.command == 'pack':
        check_int('--parts', args.parts, 1)
        pack(args.root, args.out, args.max_mib, args.parts, args.workers)
    else:
        unpack(args.parts, args.out, args.workers)


if __name__ == '__main__':
    with plain_errors():
        main()
