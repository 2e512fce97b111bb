"""The page that a training leaves in its work folder."""

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from PIL import Image

from .curves import LABELS, METRICS, Validation, log_files, main_metrics, plot_runs, read_log
from .samples import PREDICTION_PREFIX

PICTURE_WIDTH = 720  # pixels
TIMESTAMP = '%Y%m%d_%H%M%S'  # mmengine's name of the folder of a start
START_FOLDER = re.compile(r'\d{8}_\d{6}')
CHECKPOINT = re.compile(r'(epoch|iter)_(\d+)\.pth$')

TEMPLATE = Path(__file__).with_name('report_page.html')


def render_report(
    work_dir: Path,
    state: str,
    facts: Mapping[str, Mapping[str, str]],
    config: Path,
    unit: str,
    checkpoints: Mapping[str, str],
) -> str:
    """Return the page of a training, HTML with all pictures in it.

    ``facts`` are tables by their heading, ``checkpoints`` paths by what they are.
    """
    files = log_files(work_dir)
    log = read_log(files)
    metrics = main_metrics(log)
    drawn_at, pictures = _predictions(work_dir)
    curves = BytesIO()
    plot_runs({'': work_dir}, curves, title='')
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(TEMPLATE.read_text(encoding='utf-8')).render(
        title=work_dir.resolve().name,
        state=state,
        written=datetime.now().strftime('%Y-%m-%d %H:%M'),
        label=lambda key: LABELS.get(key, key),
        number=lambda values, key: f'{values[key]:.4g}' if key in values else '-',
        metrics=metrics,
        checkpoints=_checkpoints(work_dir, log.validations, metrics, unit, checkpoints),
        curves=_inline(curves, 'png'),
        pictures=pictures,
        drawn_at=drawn_at,
        starts=[start for file in files if (start := _start(file))],
        facts=facts,
        validations=log.validations,
        all_metrics=dict.fromkeys(key for one in log.validations for key in one.metrics),
        unit=unit,
        config=config.read_text(encoding='utf-8') if config.is_file() else None,
    )


def _checkpoints(
    work_dir: Path,
    validations: Sequence[Validation],
    metrics: Sequence[str],
    unit: str,
    paths: Mapping[str, str],
) -> list[dict[str, Any]]:
    reached = {f'{unit}_{one.step}.pth': one.metrics for one in validations}
    shown = []
    if metrics and metrics[0] in METRICS and not any(role.startswith('best') for role in paths):
        best = max(validations, key=lambda one: one.metrics.get(metrics[0], float('-inf')))
        file = f'{unit}_{best.step}.pth'
        if not (work_dir / file).is_file():
            file = f'none of {unit} {best.step}: default_hooks.checkpoint.save_best=auto keeps it'
        shown.append(dict(role=f'best {LABELS[metrics[0]]}', file=file, metrics=best.metrics))
    for role, path in paths.items():
        found = CHECKPOINT.search(path)
        known = reached.get(found[0], {}) if found else {}
        shown.append(dict(role=role, file=Path(path).name, metrics=known))
    return shown


def _predictions(work_dir: Path) -> tuple[int, dict[str, str]]:
    """Return the newest iteration at which predictions were drawn, and the pictures by name."""
    drawn: dict[tuple[str, int], list[Path]] = defaultdict(list)
    for path in sorted(work_dir.glob(f'*/vis_data/vis_image/{PREDICTION_PREFIX}*.png')):
        drawn[path.parents[2].name, int(path.stem.rpartition('_')[2])].append(path)
    (_, step), paths = max(drawn.items(), default=(('', 0), []))
    return step, {path.stem: _shrink(path) for path in paths}


def _shrink(path: Path) -> str:
    with Image.open(path) as picture:
        picture.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
        small = BytesIO()
        picture.convert('RGB').save(small, 'jpeg', quality=85)
    return _inline(small, 'jpeg')


def _start(file: Path) -> dict[str, Any] | None:
    """Describe a start by its log; None where it logged no loss, or elsewhere."""
    folder = file.parents[1]
    iterations, _ = read_log([file]).training.get('loss', ([], []))
    if not iterations or not START_FOLDER.fullmatch(folder.name):
        return None
    begun = datetime.strptime(folder.name, TIMESTAMP)
    took = datetime.fromtimestamp(file.stat().st_mtime) - begun  # its last line
    return dict(
        begun=begun.strftime('%Y-%m-%d %H:%M'),
        took=str(timedelta(seconds=round(took.total_seconds()))),
        first=iterations[0],
        last=iterations[-1],
        log=f'{folder.name}/{folder.name}.log',
    )


def _inline(picture: BytesIO, kind: str) -> str:
    return f'data:image/{kind};base64,{b64encode(picture.getvalue()).decode()}'
