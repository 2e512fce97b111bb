"""Pixels of the synthetic shapes: photograph crops, outlines, textures and compositing.

Every outline is rasterised once, on a canvas `SUBPIXELS` times finer than the picture. That one
mask gives both the anti-aliased edge in the picture and, in `annotation`, the annotated
region, so the two cannot drift apart.
"""

import importlib.util
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...utils.errors import InvalidValueError

# Alphabetical: a reader of class folders sorts them, and then has the indices of the other formats.
CLASSES = ('cross', 'disc', 'ring', 'triangle')

SUBPIXELS = 4

# Photographs inside scikit-image's installed package, all of them CC0, in the public domain or
# without known restrictions by its own documentation. Coins and retina show discs: left out.
PHOTOGRAPHS: tuple[str, ...] = (
    'astronaut.png',
    'brick.png',
    'camera.png',
    'chelsea.png',
    'coffee.png',
    'grass.png',
    'gravel.png',
    'hubble_deep_field.jpg',
    'ihc.png',
    'rocket.jpg',
)

FloatImage = NDArray[np.float32]
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Pose:
    """Where and how large an outline of unit radius lands, in pixels of the picture."""

    x: float
    y: float
    radius: float
    angle: float
    squeeze: float = 1.0


@lru_cache(maxsize=1)
def _photograph_halves() -> list[list[NDArray[np.uint8]]]:
    spec = importlib.util.find_spec('skimage')
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            'the backgrounds are photographs from scikit-image: pip install scikit-image'
        )
    folder = Path(spec.origin).parent / 'data'
    halves = []
    for name in PHOTOGRAPHS:
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} is missing: this scikit-image does not carry the photograph {name!r}; '
                'version 0.26 does'
            )
        with Image.open(path) as image:
            pixels = np.asarray(image.convert('RGB'))
        axis = int(pixels.shape[1] >= pixels.shape[0])
        halves.append(np.split(pixels, [pixels.shape[axis] // 2], axis))
    return halves


def photograph_crop(rng: np.random.Generator, size: int, validation: bool) -> FloatImage:
    """Cut a random square from a photograph, flipped and with another brightness and contrast.

    Training cuts from the first half of each photograph and validation from the second, so no pixel
    is in both.
    """
    halves = _photograph_halves()
    half = halves[rng.integers(len(halves))][int(validation)]
    side = int(min(half.shape[:2]) * rng.uniform(0.5, 1.0))
    top = int(rng.integers(half.shape[0] - side + 1))
    left = int(rng.integers(half.shape[1] - side + 1))
    crop = half[top : top + side, left : left + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=method)
    contrast, brightness = rng.uniform(0.7, 1.1), rng.uniform(-25.0, 25.0)
    changed = (resized.astype(np.float32) - 128.0) * contrast + 128.0 + brightness
    return np.asarray(np.clip(changed, 0.0, 255.0), np.float32)


def unit_outline(name: str) -> list[NDArray[np.float64]]:
    """Closed contours of a class inside the unit circle; a second one is a hole in the first."""
    turn = np.linspace(0.0, 2.0 * math.pi, 72, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    if name == 'disc':
        return [circle]
    if name == 'ring':
        return [circle, 0.52 * circle]
    if name == 'triangle':
        return [circle[::24]]
    if name == 'cross':
        long, short = 0.95, 0.31
        corner = np.array([[long, -short], [long, short], [short, short]])
        quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
        turns = [np.linalg.matrix_power(quarter, k) for k in range(4)]
        return [np.concatenate([corner @ turned for turned in turns])]
    raise InvalidValueError(f'no shape is called {name!r}; allowed: {", ".join(CLASSES)}')


def place_outline(name: str, pose: Pose) -> list[NDArray[np.float64]]:
    cos, sin = math.cos(pose.angle), math.sin(pose.angle)
    rotation = np.array([[cos, sin], [-sin, cos]])
    scale = np.array([1.0, pose.squeeze]) * pose.radius
    centre = np.array([pose.x, pose.y])
    return [(c * scale) @ rotation + centre for c in unit_outline(name)]


def contour_area(contour: NDArray[np.float64]) -> float:
    x, y = np.ascontiguousarray(contour.T)
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def outline_area(contours: list[NDArray[np.float64]]) -> float:
    """Area in pixels that contours enclose; the second is a hole."""
    first, *holes = map(contour_area, contours)
    return first - sum(holes)


def fine_mask(contours: list[NDArray[np.float64]], size: int) -> Mask:
    shift = 6
    mask = np.zeros((size * SUBPIXELS,) * 2, np.uint8)
    points = [np.rint((c * SUBPIXELS - 0.5) * (1 << shift)).astype(np.int32) for c in contours]
    cv2.fillPoly(mask, points, (1,), lineType=cv2.LINE_8, shift=shift)
    return mask


def _coverage(mask: Mask) -> FloatImage:
    size = mask.shape[0] // SUBPIXELS
    resized = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32)


def _colour(rng: np.random.Generator, away_from: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first vivid colour that is far from the ground it lies on, or the farthest of twelve."""
    best: NDArray[np.float32] = np.zeros(3, np.float32)
    best_distance = -1.0
    for _ in range(12):
        hue, low, high = rng.random() * 6.0, rng.uniform(10, 90), rng.uniform(190, 255)
        ramp = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
        colour = (low + (high - low) * ramp).astype(np.float32)
        distance = float(np.linalg.norm(colour - away_from))
        if distance > best_distance:
            best, best_distance = colour, distance
        if distance > 150.0:
            break
    return best


def _texture(
    rng: np.random.Generator, pose: Pose, size: int, base: NDArray[np.float32]
) -> FloatImage:
    """A solid, striped, dotted or graded surface of two tones of one colour, (size, size, 3)."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) + 0.5
    angle = rng.uniform(0.0, math.pi)
    u = (x - pose.x) * math.cos(angle) + (y - pose.y) * math.sin(angle)
    v = (y - pose.y) * math.cos(angle) - (x - pose.x) * math.sin(angle)
    pitch = max(6.0, pose.radius * rng.uniform(0.3, 0.5))
    wave = 2.0 * math.pi / pitch
    kind = rng.integers(4)
    if kind == 0:
        weight = np.zeros_like(u)
    elif kind == 1:
        weight = np.clip(np.sin(u * wave) * pitch / 4.0 + 0.5, 0.0, 1.0)
    elif kind == 2:
        weight = np.clip((np.cos(u * wave) * np.cos(v * wave) - 0.4) * pitch / 3.0, 0.0, 1.0)
    else:
        weight = np.clip(0.5 + 0.5 * u / pose.radius, 0.0, 1.0)
    towards = 255.0 if rng.random() < 0.5 else 0.0
    second = base + (towards - base) * np.float32(rng.uniform(0.45, 0.65))
    return np.asarray(base + (second - base) * weight[..., None], np.float32)


def paint(picture: FloatImage, mask: Mask, pose: Pose, rng: np.random.Generator) -> FloatImage:
    """Lay one textured object with a soft shadow and a thin rim over a picture."""
    size = picture.shape[0]
    alpha = _coverage(mask)
    ground = (picture * alpha[..., None]).sum(axis=(0, 1)) / max(float(alpha.sum()), 1.0)
    base = _colour(rng, ground)
    surface = _texture(rng, pose, size, base)

    rim = max(1, round(SUBPIXELS * np.clip(pose.radius * 0.05, 0.5, 2.0)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    inside = _coverage(np.asarray(cv2.erode(mask, kernel), np.uint8))[..., None]
    edge = base * 0.25 if ground.mean() > 100.0 else base * 0.3 + 178.0
    surface = inside * surface + (1.0 - inside) * edge

    reach = pose.radius * rng.uniform(0.04, 0.12)
    direction = rng.uniform(0.0, 2.0 * math.pi)
    move = np.array(
        [[1.0, 0.0, reach * math.cos(direction)], [0.0, 1.0, reach * math.sin(direction)]]
    )
    moved = cv2.warpAffine(alpha, move, (size, size))
    shadow = cv2.GaussianBlur(moved, (0, 0), max(0.8, pose.radius * 0.08)) * rng.uniform(0.3, 0.6)
    shaded = picture * (1.0 - shadow[..., None])
    return np.asarray(shaded + (surface - shaded) * alpha[..., None], np.float32)
