"""Predict for a picture, a folder of pictures or a video, with a model of any of the three tasks.

Example:
    python demo/image_demo.py photo.jpg mask_rcnn/rsir_n_shapes work_dirs/demo/epoch_8.pth
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from mmrsir import safe_loading
from mmrsir.apis import Predictor
from mmrsir.engine.config_files import check_file
from mmrsir.visualization.backbone import read_picture
from mmrsir.visualization.uncertainty import draw_uncertainty

PICTURES = {'.jpg', '.jpeg', '.png', '.bmp', '.ppm', '.tif', '.tiff', '.webp'}
PROGRESS = Console(stderr=True)


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('input', type=Path, help='picture, folder of pictures, or video')
    parser.add_argument('config', help='config file, or the name of one of ours')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('work_dirs/predictions'),
        help='folder for pictures and predictions.json (default: %(default)s)',
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='of objects (default: %(default)s)'
    )
    parser.add_argument(
        '--draws', type=int, metavar='K', help='the mean of K draws of the random windows'
    )
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: cuda if there is one)')
    safe_loading.add_unsafe_flag(parser)
    return parser


def main() -> None:
    """Parse the command line and predict."""
    parser = argument_parser()
    args = parser.parse_args()
    try:
        pictures = list_pictures(args.input)
        outputs = name_outputs(args.input, pictures, args.out_dir)
        predictor = Predictor(args.config, args.checkpoint, args.device, args.score_thr, args.draws)
        args.out_dir.mkdir(parents=True, exist_ok=True)
        if pictures is None:
            predict_video(args.input, predictor, outputs[args.input])
        else:
            predict_pictures(outputs, predictor, args.out_dir)
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))


def list_pictures(path: Path) -> list[Path] | None:
    """Return the pictures that a path stands for; None where it is a video.

    Args:
        path: Picture, folder or video.

    Raises:
        MissingPathError: It does not exist; names the nearest file beside it.
        ValueError: The folder has no picture.
    """
    if path.is_dir():
        pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        if not pictures:
            raise ValueError(f'{path} has no picture ({", ".join(sorted(PICTURES))})')
        return pictures
    check_file('input', str(path))
    return [path] if path.suffix.lower() in PICTURES else None


def name_outputs(source: Path, pictures: list[Path] | None, out_dir: Path) -> dict[Path, Path]:
    """Return what is written of each picture, or of the video.

    Args:
        source: The input.
        pictures: Its pictures; None for a video.
        out_dir: Folder for the results.

    Raises:
        ValueError: A result would replace an input or another result.
    """
    if pictures is None:
        outputs = {source: out_dir / f'{source.stem}.mp4'}
    else:
        outputs = {path: out_dir / f'{path.stem}.png' for path in pictures}
    if {path.resolve() for path in outputs} & {path.resolve() for path in outputs.values()}:
        raise ValueError(f'--out-dir={out_dir} is the folder of the input, which would be replaced')
    if len(set(outputs.values())) < len(outputs):
        raise ValueError(f'pictures of {source} differ in nothing but their suffix')
    return outputs


def predict_pictures(outputs: dict[Path, Path], predictor: Predictor, out_dir: Path) -> None:
    """Predict for pictures and write what was found."""
    found = {}
    broken = []
    for path in track(outputs, 'Predicting', console=PROGRESS, transient=True):
        try:
            picture = read_picture(path)
        except (OSError, ValueError) as error:
            broken.append(str(error))
            continue
        prediction = predictor(picture)
        found[path.name] = prediction.found
        Image.fromarray(prediction.drawn).save(outputs[path])
        if prediction.label_map is not None:
            Image.fromarray(prediction.label_map).save(out_dir / f'{path.stem}_labels.png')
        if prediction.uncertainty is not None:
            out_file = out_dir / f'{path.stem}_uncertainty.png'
            draw_uncertainty(picture, prediction.uncertainty, out_file)
    (out_dir / 'predictions.json').write_text(json.dumps(found, indent=1))
    print(f'wrote {len(found)} pictures and predictions.json to {out_dir}')
    if broken:
        raise ValueError(f'{len(broken)} left out: {"; ".join(broken)}')


def predict_video(path: Path, predictor: Predictor, out_file: Path) -> None:
    """Predict for each frame of a video and write a video of the predictions."""
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            raise ValueError(f'{path} is neither a picture nor a video that can be read')
        fps = video.get(cv2.CAP_PROP_FPS) or 25.0
        number = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        found = []
        writer = None
        frames = track(
            _frames(video), 'Predicting', total=number or None, console=PROGRESS, transient=True
        )
        for frame in frames:
            prediction = predictor(frame)
            found.append(prediction.found)
            drawn = np.ascontiguousarray(prediction.drawn[..., ::-1])
            if writer is None:
                code = cv2.VideoWriter.fourcc(*'mp4v')
                writer = cv2.VideoWriter(str(out_file), code, fps, drawn.shape[1::-1])
                if not writer.isOpened():
                    raise ValueError(f'OpenCV cannot write {out_file}')
            writer.write(drawn)
    finally:
        video.release()
    if writer is None:
        raise ValueError(f'{path} has no frame that can be read')
    writer.release()
    out_file.with_name('predictions.json').write_text(json.dumps(found, indent=1))
    print(f'wrote {out_file} and predictions.json ({len(found)} frames)')


def _frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the frames of a video, RGB."""
    while True:
        is_read, frame = video.read()
        if not is_read:
            return
        yield np.ascontiguousarray(frame[..., ::-1])


if __name__ == '__main__':
    main()
