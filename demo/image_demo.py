"""Predict for a picture, a folder of pictures or a video, with a model of any of the three tasks.

Example:
    python demo/image_demo.py photo.jpg mask_rcnn/rsir_n_shapes work_dirs/demo/epoch_8.pth
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmrsir import replacements
from mmrsir.apis import Predictor
from mmrsir.checkpoints import safe_loading
from mmrsir.datasets.loading.headers import num_frames, open_image
from mmrsir.datasets.loading.image_files import VIDEO, count_reasons, is_image, walk, why_unreadable
from mmrsir.engine.config_files import run_name
from mmrsir.utils.errors import InvalidValueError, plain_errors
from mmrsir.utils.missing import check_file
from mmrsir.utils.progress import show_progress
from mmrsir.visualization.backbone import read_picture
from mmrsir.visualization.uncertainty import draw_uncertainty


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'input', type=Path, help='picture, folder of pictures with those below, or video'
    )
    parser.add_argument('config', help='config file, or the name of one of ours')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir',
        type=Path,
        help='folder for pictures and predictions.json (default: '
        'work_dirs/predictions/<run>_<checkpoint>)',
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
    replacements.enable()
    parser = argument_parser()
    args = parser.parse_args()
    if args.out_dir is None:
        args.out_dir = Path('work_dirs/predictions', run_name(args.config, args.checkpoint))
    pictures, left_out = list_pictures(args.input, args.out_dir)
    outputs = name_outputs(args.input, pictures, args.out_dir)
    predictor = Predictor(args.config, args.checkpoint, args.device, args.score_thr, args.draws)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    if pictures is None:
        predict_video(args.input, predictor, outputs[args.input])
    else:
        broken = predict_pictures(args.input, outputs, predictor, args.out_dir)
        for line in left_out:
            print(f'left out: {line}')
        if broken:
            raise InvalidValueError('\n  '.join([f'{len(broken)} left out:', *broken]))


def list_pictures(path: Path, out_dir: Path) -> tuple[list[Path] | None, list[str]]:
    """Return the pictures that a path stands for, and a line for each kind of files left out.

    They are None in place of the pictures where the path is a video; so is a GIF of several frames.
    What is in ``out_dir`` is no input.
    """
    if path.is_dir():
        found = [path / name for name in walk(path)]
        files = [file for file in found if out_dir.resolve() not in file.resolve().parents]
        pictures = [file for file in files if is_image(file)]
        left_out = count_reasons(set(files).difference(pictures))
        if not pictures:
            raise InvalidValueError(
                f'{path} has no picture: '
                f'{"; ".join(left_out) or ("all is in --out-dir" if found else "it is empty")}'
            )
        return pictures, left_out
    check_file('input', str(path))
    if not is_image(path):
        if why_unreadable(path) not in ('', VIDEO):
            raise InvalidValueError(f'{path}: {why_unreadable(path)}')
        return None, []
    is_animation = path.suffix.lower() == '.gif' and _num_frames(path) > 1
    return None if is_animation else [path], []


def name_outputs(source: Path, pictures: list[Path] | None, out_dir: Path) -> dict[Path, Path]:
    """Return what is written of each picture, or of the video; results replace no input.

    Pictures that differ in nothing but their suffix keep it: ``a.jpg.png`` and ``a.webp.png``.
    Results of a folder's folders go into folders.
    """
    if pictures is None:
        outputs = {source: out_dir / f'{source.stem}.mp4'}
    else:
        names = {path: out_dir / _below(source, path) for path in pictures}
        stems = Counter(name.with_suffix('') for name in names.values())
        outputs = {
            path: name.with_suffix(
                '.png' if stems[name.with_suffix('')] == 1 else f'{name.suffix}.png'
            )
            for path, name in names.items()
        }
    if {path.resolve() for path in outputs} & {path.resolve() for path in outputs.values()}:
        raise InvalidValueError(f'--out-dir={out_dir} would replace the input: name another folder')
    return outputs


def predict_pictures(
    source: Path, outputs: dict[Path, Path], predictor: Predictor, out_dir: Path
) -> list[str]:
    """Predict for pictures and write what was found; return what could not be read, and why."""
    found = {}
    broken = []
    for path in show_progress(outputs, 'Predicting'):
        try:
            picture = read_picture(path, reading=predictor.reading)
        except (OSError, ValueError) as error:
            broken.append(str(error))
            continue
        frames = _num_frames(path)
        if frames > 1:
            print(f'{path}: the first of {frames} frames or pages')
        prediction = predictor(picture)
        found[_below(source, path).as_posix()] = prediction.found
        out_file = outputs[path]
        out_file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(prediction.drawn).save(out_file)
        if prediction.label_map is not None:
            Image.fromarray(prediction.label_map).save(_beside(out_file, 'labels'))
        if prediction.uncertainty is not None:
            draw_uncertainty(picture, prediction.uncertainty, _beside(out_file, 'uncertainty'))
    (out_dir / 'predictions.json').write_text(json.dumps(found, indent=1))
    pictures = 'picture' if len(found) == 1 else 'pictures'
    print(f'wrote {len(found)} {pictures} and predictions.json to {out_dir}')
    return broken


def _below(source: Path, path: Path) -> Path:
    """Return the path of a picture below the folder that is the input; its name if it is itself."""
    return path.relative_to(source) if path != source else Path(path.name)


def _beside(out_file: Path, what: str) -> Path:
    return out_file.with_name(f'{out_file.stem}_{what}.png')


def _num_frames(path: Path) -> int:
    try:
        return num_frames(open_image(path.read_bytes()))
    except Exception:  # of a broken file; reading it says what is wrong
        return 1


def predict_video(path: Path, predictor: Predictor, out_file: Path) -> None:
    """Predict for each frame of a video and write a video of the predictions."""
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            raise InvalidValueError(f'{path} is neither a picture nor a video that can be read')
        fps = video.get(cv2.CAP_PROP_FPS) or 25.0
        number = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        found = []
        writer = None
        for frame in show_progress(_frames(video), 'Predicting', number or None):
            prediction = predictor(frame)
            found.append(prediction.found)
            drawn = np.ascontiguousarray(prediction.drawn[..., ::-1])
            if writer is None:
                code = cv2.VideoWriter.fourcc(*'mp4v')
                writer = cv2.VideoWriter(str(out_file), code, fps, drawn.shape[1::-1])
                if not writer.isOpened():
                    raise InvalidValueError(f'OpenCV cannot write {out_file}')
            writer.write(drawn)
    finally:
        video.release()
    if writer is None:
        raise InvalidValueError(f'{path} has no frame that can be read')
    writer.release()
    out_file.with_name('predictions.json').write_text(json.dumps(found, indent=1))
    print(f'wrote {out_file} and predictions.json ({len(found)} frames)')


def _frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    # RGB, not OpenCV's BGR
    while True:
        is_read, frame = video.read()
        if not is_read:
            return
        yield np.ascontiguousarray(frame[..., ::-1])


if __name__ == '__main__':
    with plain_errors():
        main()
