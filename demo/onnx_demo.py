"""Predict for a picture with a file of tools/deployment/export.py, without torch and OpenMMLab.

It needs numpy, onnxruntime and Pillow, and nothing else of this project: copy it into yours.

Example:
    python demo/onnx_demo.py work_dirs/exports/demo_epoch_8_detector.onnx photo.jpg
"""

import argparse
import colorsys
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageOps

TOP = 5
OPACITY = 0.5
PILLOW = {name.name.lower(): name for name in Image.Resampling}


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('model', help='ONNX file of a whole detector, segmentor or classifier')
    parser.add_argument('picture', help='file of a picture')
    parser.add_argument('--out', help='picture to write (default: <picture>_<file>.png, here)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='of objects (default: %(default)s)'
    )
    return parser


def main() -> None:
    parser = argument_parser()
    args = parser.parse_args()
    for path in (args.model, args.picture):
        if not Path(path).is_file():
            parser.error(f'there is no file {path}')
    out = Path(args.out or f'{Path(args.picture).stem}_{Path(args.model).stem}.png')
    session = onnxruntime.InferenceSession(args.model, providers=['CPUExecutionProvider'])
    told = session.get_modelmeta().custom_metadata_map
    about = {key: json.loads(value) for key, value in told.items() if key in KEYS}
    show = SHOW.get(about.get('task', ''))
    if show is None:
        parser.error(
            f'{args.model} is no whole model of tools/deployment/export.py (task: '
            f'{about.get("task")}; known: {", ".join(SHOW)})'
        )
    try:
        picture = read(args.picture)
        drawn, lines = show(session, about, picture, args.score_thr)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print('\n'.join(lines))
    drawn.save(out)
    print(f'wrote {out}')


def read(path: str) -> Image.Image:
    """Read a picture of 8 bits, however large it is, turned as its EXIF orientation says."""
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(path)
    if image.mode[:1] in ('I', 'F'):
        raise ValueError(
            f'{path} has pixels of type {image.mode}; save it with 8 bits, values scaled as in '
            'the training'
        )
    return ImageOps.exif_transpose(image).convert('RGB')


KEYS = ('task', 'classes', 'palette', 'channels', 'mean', 'std', 'steps')


def show_objects(
    session: Any, about: dict[str, Any], picture: Image.Image, score_thr: float
) -> tuple[Image.Image, list[str]]:
    """Run a detector and draw its objects. The file takes the picture as it is."""
    outputs = session.run(None, {'image': np.asarray(picture)[None]})
    boxes, labels, scores = outputs[:3]
    keep = scores >= score_thr
    colours = palette(about)
    pixels = np.asarray(picture).astype(float)
    if len(outputs) > 3:
        for mask, label in zip(outputs[3][keep], labels[keep], strict=True):
            pixels[mask] += OPACITY * (colours[label] - pixels[mask])
    drawn = Image.fromarray(pixels.round().astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    lines = []
    for box, label, score in zip(boxes[keep], labels[keep], scores[keep], strict=True):
        text = f'{about["classes"][label]} {score:.2f}'
        lines.append(f'{text}  [{", ".join(f"{side:.1f}" for side in box)}]')
        pen.rectangle(box.tolist(), outline=tuple(map(int, colours[label])))
        write(pen, box[:2].tolist(), text)
    return drawn, lines or [f'nothing with a score of {score_thr} or more']


def show_regions(
    session: Any, about: dict[str, Any], picture: Image.Image, score_thr: float
) -> tuple[Image.Image, list[str]]:
    """Run a segmentor and draw the class of each pixel; ``score_thr`` is not used."""
    (scores,) = session.run(None, {'images': prepare(picture, about)})
    whole = resize(scores[0].transpose(1, 2, 0), picture.height, picture.width)
    labels = whole.argmax(2) if whole.shape[2] > 1 else (whole[..., 0] > 0.5).astype(int)
    pixels = np.asarray(picture).astype(float)
    pixels += OPACITY * (palette(about)[labels] - pixels)
    shares = np.bincount(labels.ravel(), minlength=len(about['classes'])) / labels.size
    lines = [
        f'{about["classes"][label]} {shares[label]:.1%} of the pixels'
        for label in np.argsort(-shares, kind='stable')
        if shares[label]
    ]
    return Image.fromarray(pixels.round().astype(np.uint8)), lines


def show_classes(
    session: Any, about: dict[str, Any], picture: Image.Image, score_thr: float
) -> tuple[Image.Image, list[str]]:
    """Run a classifier and write the likeliest classes; ``score_thr`` is not used."""
    outputs = session.run(None, {'images': prepare(picture, about)})
    if len(outputs) > 1:
        raise ValueError('classifiers of several tasks are not shown here')
    scores = outputs[0][0]
    likeliest = np.argsort(-scores, kind='stable')[:TOP]
    lines = [f'{about["classes"][label]} {scores[label]:.3f}' for label in likeliest]
    drawn = picture.copy()
    write(ImageDraw.Draw(drawn), [0, 0], '\n'.join(lines))
    return drawn, lines


SHOW = {'detector': show_objects, 'segmentor': show_regions, 'classifier': show_classes}


def prepare(picture: Image.Image, about: dict[str, Any]) -> np.ndarray:
    """Return the image that a segmentor or classifier takes, (1, 3, H, W), float32."""
    pixels = np.asarray(picture)
    for step in about['steps']:
        pixels = apply(step, pixels)
    if about['channels'] == 'BGR':
        pixels = pixels[..., ::-1]
    mean, std = (np.array(about.get(name, default), np.float32) for name, default in NEUTRAL)
    normalized = (pixels.astype(np.float32) - mean) / std
    return np.ascontiguousarray(normalized.transpose(2, 0, 1)[None])


NEUTRAL = (('mean', 0), ('std', 1))


def apply(step: dict[str, Any], pixels: np.ndarray) -> np.ndarray:
    """Return pixels, (H, W, 3), after a step of the test pipeline."""
    kind = step['type'].rpartition('.')[2]
    height, width = pixels.shape[:2]
    if kind == 'CenterCrop':
        size = step['crop_size']
        tall, wide = (size, size) if isinstance(size, int) else size
        top, left = (max(0, round((one - new) / 2)) for one, new in ((height, tall), (width, wide)))
        return pixels[top : top + tall, left : left + wide]
    if kind == 'ResizeEdge' and step.get('edge', 'short') in ('short', 'long'):
        side = min(height, width) if step.get('edge', 'short') == 'short' else max(height, width)
        new = [step['scale'] * one // side for one in (height, width)]
    elif kind == 'Resize' and step.get('scale') is not None:
        scale = step['scale']
        wide, tall = (scale, scale) if isinstance(scale, int) else scale
        new = [tall, wide]
        if step.get('keep_ratio'):
            limits = max(wide, tall) / max(height, width), min(wide, tall) / min(height, width)
            new = [int(one * min(limits) + 0.5) for one in (height, width)]
    else:
        raise ValueError(f'the model wants a step that this script does not know: {step}')
    method = step.get('interpolation', 'bilinear')
    if step.get('backend', 'cv2') == 'pillow' and method in PILLOW:
        return np.asarray(Image.fromarray(pixels).resize(new[::-1], PILLOW[method]))
    if method not in NEIGHBOURS:
        raise ValueError(f'the model wants interpolation={method}, which this script does not know')
    return (resize(pixels, *new, method) + 0.5).clip(0, 255).astype(np.uint8)


NEIGHBOURS = {'bilinear': (0, 1), 'bicubic': (-1, 0, 1, 2)}


def resize(values: np.ndarray, height: int, width: int, method: str = 'bilinear') -> np.ndarray:
    """Interpolate (H, W, C) between rows and between columns, as OpenCV and torch do."""
    for axis, new in enumerate((height, width)):
        old = values.shape[axis]
        places = (np.arange(new) + 0.5) * old / new - 0.5
        first = np.floor(places).astype(int)
        total: Any = 0
        for neighbour in NEIGHBOURS[method]:
            weights = interpolation_weights(np.abs(places - first - neighbour), method).astype(
                np.float32
            )
            near = values.take((first + neighbour).clip(0, old - 1), axis)
            total = total + weights.reshape((-1, 1, 1) if axis == 0 else (-1, 1)) * near
        values = total
    return values


def interpolation_weights(distance: np.ndarray, method: str) -> np.ndarray:
    """Return the weights of neighbours at a distance."""
    if method == 'bilinear':
        return 1 - distance
    within = (1.25 * distance - 2.25) * distance**2 + 1
    return np.where(distance <= 1, within, -0.75 * (((distance - 5) * distance + 8) * distance - 4))


def palette(about: dict[str, Any]) -> np.ndarray:
    """Return a colour for each class, (K, 3)."""
    number = len(about['classes'])
    hues = [colorsys.hsv_to_rgb(label / number, 1, 1) for label in range(number)]
    return np.array(about.get('palette') or np.multiply(hues, 255), float)


def write(pen: ImageDraw.ImageDraw, place: list[float], text: str) -> None:
    """Write on a dark ground."""
    pen.rectangle(pen.multiline_textbbox(place, text), fill='black')
    pen.multiline_text(place, text, fill='white')


if __name__ == '__main__':
    main()
