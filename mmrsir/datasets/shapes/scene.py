"""Composition of the synthetic shapes: what a picture holds, and what of it lies in front."""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from .drawing import (
    CLASSES,
    SUBPIXELS,
    FloatImage,
    Mask,
    Pose,
    fine_mask,
    outline_area,
    paint,
    photograph_crop,
    place_outline,
)

# Of every EMPTY_EVERY pictures one has no object and of every CROWD_EVERY one has a crowd. They sit
# at fixed places, so that a small data set has both kinds.
EMPTY_EVERY, EMPTY_AT = 25, 3
CROWD_EVERY, CROWD_AT = 12, 5

# Diameter of an object as a fraction of the picture's side: 36 to 110 pixels of 256.
SMALLEST, LARGEST = 0.14, 0.43

# An object that would leave less than this of an earlier one in sight is moved, if there is room.
LEAST_LEFT = 0.45


@dataclass(frozen=True)
class Instance:
    """One thing to annotate: an object, or a crowd of tiny ones."""

    label: int
    layers: range  # its values in Scene.layers; of a crowd, the first is the ground
    area: float  # pixels that it would have if nothing hid it and the picture did not end
    crowd: bool = False


@dataclass
class Scene:
    """A picture and what lies where in it."""

    picture: FloatImage  # RGB, 0 to 255, (size, size, 3)
    # Number of the frontmost thing at each fine pixel, 0 for the background.
    layers: NDArray[np.uint8] = field(init=False)
    instances: list[Instance] = field(default_factory=list)  # from back to front
    _last_layer: int = 0

    def __post_init__(self) -> None:
        self.layers = np.zeros((self.size * SUBPIXELS,) * 2, np.uint8)

    @property
    def size(self) -> int:
        return int(self.picture.shape[0])

    def cover(self, mask: Mask) -> int:
        self._last_layer += 1
        self.layers[mask > 0] = self._last_layer
        return self._last_layer

    def visible(self, instance: Instance) -> NDArray[np.bool_]:
        return (self.layers >= instance.layers.start) & (self.layers < instance.layers.stop)

    def visible_area(self, instance: Instance, hidden_by: Mask | None = None) -> float:
        seen = self.visible(instance)
        if hidden_by is not None:
            seen &= hidden_by == 0
        return float(np.count_nonzero(seen)) / SUBPIXELS**2

    def add_object(self, label: int, pose: Pose, rng: np.random.Generator) -> None:
        """Draw one object in front of all others."""
        contours = place_outline(CLASSES[label], pose)
        mask = fine_mask(contours, self.size)
        self.picture = paint(self.picture, mask, pose, rng)
        layer = self.cover(mask)
        self.instances.append(Instance(label, range(layer, layer + 1), outline_area(contours)))

    def add_crowd(self, label: int, poses: list[Pose], rng: np.random.Generator) -> None:
        """Draw many tiny objects of one class as one crowd, whose region is their convex hull."""
        members = [place_outline(CLASSES[label], pose) for pose in poses]
        hull = cv2.convexHull(np.concatenate([m[0] for m in members]).astype(np.float32))[:, 0]
        region = [hull.astype(np.float64)]
        first = self.cover(fine_mask(region, self.size))
        for member, pose in zip(members, poses, strict=True):
            mask = fine_mask(member, self.size)
            self.picture = paint(self.picture, mask, pose, rng)
            last = self.cover(mask)
        layers = range(first, last + 1)
        self.instances.append(Instance(label, layers, outline_area(region), crowd=True))


def _random_pose(rng: np.random.Generator, size: int) -> Pose:
    radius = size * math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))) / 2.0
    # The centre keeps 0.7 radii from the border: few objects are cut, and none by much.
    x, y = rng.uniform(0.7 * radius, size - 0.7 * radius, 2)
    angle, squeeze = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.85, 1.0)
    return Pose(float(x), float(y), radius, angle, squeeze)


def _free_pose(rng: np.random.Generator, scene: Scene, label: int) -> Pose:
    """A pose that leaves enough of every earlier instance in sight, or the last of twelve tried."""
    for _ in range(12):
        pose = _random_pose(rng, scene.size)
        mask = fine_mask(place_outline(CLASSES[label], pose), scene.size)
        if all(scene.visible_area(i, mask) >= LEAST_LEFT * i.area for i in scene.instances):
            break
    return pose


def _crowd_poses(rng: np.random.Generator, size: int) -> list[Pose]:
    """Tiny poses scattered over a disc, none much over another."""
    reach = size * rng.uniform(0.16, 0.22)
    radius = size * rng.uniform(0.028, 0.036)
    x, y = rng.uniform(reach + radius, size - reach - radius, 2)
    poses: list[Pose] = []
    for _ in range(150):
        far, turn = reach * math.sqrt(rng.random()), rng.uniform(0.0, 2.0 * math.pi)
        pose = Pose(
            float(x) + far * math.cos(turn),
            float(y) + far * math.sin(turn),
            radius * rng.uniform(0.85, 1.15),
            rng.uniform(0.0, 2.0 * math.pi),
        )
        if all(math.hypot(pose.x - p.x, pose.y - p.y) > 2.1 * radius for p in poses):
            poses.append(pose)
    return poses


def compose_scene(seed: int, index: int, size: int, validation: bool) -> Scene:
    """Make picture number `index` of a split: no object, 1 to 5, or a crowd and 1 to 3."""
    rng = np.random.default_rng([seed, int(validation), index])
    scene = Scene(photograph_crop(rng, size, validation))
    if index % EMPTY_EVERY == EMPTY_AT:
        return scene
    count = int(rng.integers(1, 6))
    if index % CROWD_EVERY == CROWD_AT:
        scene.add_crowd(int(rng.integers(len(CLASSES))), _crowd_poses(rng, size), rng)
        count = (count + 1) // 2
    for _ in range(count):
        label = int(rng.integers(len(CLASSES)))
        scene.add_object(label, _free_pose(rng, scene, label), rng)
    return scene


def compose_single(seed: int, label: int, index: int, size: int, validation: bool) -> FloatImage:
    """Make the classification picture number `index` of a class in a split."""
    rng = np.random.default_rng([seed, 2 + int(validation), label, index])
    scene = Scene(photograph_crop(rng, size, validation))
    radius = size * rng.uniform(0.25, 0.42)
    x, y = rng.uniform(radius, size - radius, 2)
    angle, squeeze = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.85, 1.0)
    scene.add_object(label, Pose(float(x), float(y), radius, angle, squeeze), rng)
    return scene.picture
