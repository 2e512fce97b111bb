"""The page that a training leaves in its work folder."""

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from PIL import Image

from .curves import LABELS, METRICS, Validation, log_files, main_metrics, plot_runs, read_log
from .samples import PREDICTION_PREFIX

PICTURE_WIDTH = 720  # pixels
TIMESTAMP = '%Y%m%d_%H%M%S'  # mmengine's name of the folder of a start
START_FOLDER = re.compile(r'\d{8}_\d{6}')
CHECKPOINT = re.compile(r'(epoch|iter)_(\d+)\.pth$')

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
    color: #222; }
  h1 { margin-bottom: 0; }
  h2 { margin-top: 2rem; border-bottom: 1px solid #ccc; }
  table { border-collapse: collapse; display: block; overflow-x: auto; }
  h1, .state { overflow-wrap: anywhere; }
  th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top;
    border-bottom: 1px solid #eee; }
  .number { text-align: right; font-variant-numeric: tabular-nums; }
  td pre, p.state { margin: 0; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
  img { max-width: 100%; }
  figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 46%; }
  figcaption { font-size: 13px; color: #555; overflow-wrap: anywhere; }
  @media (max-width: 40rem) { figure { max-width: 100%; margin-right: 0; } }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="state">{{ state }}; written {{ written }}</p>

<h2>Results</h2>
{% if checkpoints %}
<table>
<tr><th>checkpoint</th><th>file</th>
{%- for key in metrics %}<th class="number">{{ label(key) }}</th>{% endfor %}</tr>
{% for one in checkpoints %}
<tr><td>{{ one.role }}</td><td>{{ one.file }}</td>
{%- for key in metrics %}<td class="number">{{ number(one.metrics, key) }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% else %}
<p>No checkpoint yet.</p>
{% endif %}
<p><img src="{{ curves }}" alt="curves of the training"></p>

{% if pictures %}
<h2>Predictions</h2>
<p>Images of the validation at iteration {{ drawn_at }}: truth on the left and prediction on the
right, or both named in the picture.</p>
{% for name, picture in pictures.items() %}
<figure><img src="{{ picture }}" alt="{{ name }}"><figcaption>{{ name }}</figcaption></figure>
{% endfor %}
{% endif %}

<h2>Time</h2>
<p>Each time that the training was started or resumed in this folder.</p>
<table>
<tr><th>begun</th><th class="number">took</th><th class="number">iterations logged</th>
<th>log</th></tr>
{% for start in starts %}
<tr><td>{{ start.begun }}</td><td class="number">{{ start.took }}</td>
<td class="number">{{ start.first }} to {{ start.last }}</td><td>{{ start.log }}</td></tr>
{% endfor %}
</table>

{% for heading, table in facts.items() %}
<h2>{{ heading }}</h2>
<table>
{% for name, value in table.items() %}
<tr><th>{{ name }}</th><td><pre>{{ value }}</pre></td></tr>
{% endfor %}
</table>
{% endfor %}

{% if validations %}
<h2>All validations</h2>
<details><summary>{{ validations | length }} of them</summary>
<table>
<tr><th class="number">{{ unit }}</th>
{%- for key in all_metrics %}<th class="number">{{ label(key) }}</th>{% endfor %}</tr>
{% for one in validations %}
<tr><td class="number">{{ one.step }}</td>
{%- for key in all_metrics %}<td class="number">{{ number(one.metrics, key) }}</td>{% endfor %}</tr>
{% endfor %}
</table>
</details>
{% endif %}

{% if config %}
<h2>Config</h2>
<details><summary>all settings, those that were inherited too</summary>
<pre>{{ config }}</pre></details>
{% endif %}
</body>
</html>
"""


class Checkpoint(NamedTuple):
    """A checkpoint and what it reached.

    Args:
        role: Why it is shown.
        file: Its name, or that there is none.
        metrics: Those of its validation; empty where there was none.
    """

    role: str
    file: str
    metrics: Mapping[str, float]


class Start(NamedTuple):
    """A time that the training was started or resumed.

    Args:
        begun: When.
        took: Until its last line was logged.
        first: Iteration of its first line.
        last: Iteration of its last line.
        log: Its log file, in the work folder.
    """

    begun: str
    took: str
    first: int
    last: int
    log: str


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
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(TEMPLATE)
    return template.render(
        title=work_dir.resolve().name,
        state=state,
        written=datetime.now().strftime('%Y-%m-%d %H:%M'),
        label=lambda key: LABELS.get(key, key),
        number=lambda values, key: f'{values[key]:.4g}' if key in values else '-',
        metrics=metrics,
        checkpoints=_checkpoints(work_dir, log.validations, metrics, unit, checkpoints),
        curves=_curves(work_dir),
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
) -> list[Checkpoint]:
    """Return the checkpoints that matter, with what they reached."""
    reached = {f'{unit}_{one.step}.pth': one.metrics for one in validations}
    shown = []
    if metrics and metrics[0] in METRICS and not any(role.startswith('best') for role in paths):
        best = max(validations, key=lambda one: one.metrics.get(metrics[0], float('-inf')))
        file = f'{unit}_{best.step}.pth'
        if not (work_dir / file).is_file():
            file = f'none of {unit} {best.step}: default_hooks.checkpoint.save_best=auto keeps it'
        shown.append(Checkpoint(f'best {LABELS[metrics[0]]}', file, best.metrics))
    for role, path in paths.items():
        found = CHECKPOINT.search(path)
        shown.append(Checkpoint(role, Path(path).name, reached.get(found[0], {}) if found else {}))
    return shown


def _curves(work_dir: Path) -> str:
    picture = BytesIO()
    plot_runs({'': work_dir}, picture, title='')
    return _inline(picture.getvalue(), 'png')


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
    return _inline(small.getvalue(), 'jpeg')


def _start(file: Path) -> Start | None:
    """Describe a start by its log; None where it logged no loss, or elsewhere."""
    folder = file.parents[1]
    losses = read_log([file]).training.get('loss')
    if losses is None or not START_FOLDER.fullmatch(folder.name):
        return None
    begun = datetime.strptime(folder.name, TIMESTAMP)
    took = datetime.fromtimestamp(file.stat().st_mtime) - begun
    iterations, _ = losses
    return Start(
        begun=begun.strftime('%Y-%m-%d %H:%M'),
        took=str(timedelta(seconds=round(took.total_seconds()))),
        first=iterations[0],
        last=iterations[-1],
        log=f'{folder.name}/{folder.name}.log',
    )


def _inline(content: bytes, kind: str) -> str:
    return f'data:image/{kind};base64,{b64encode(content).decode()}'
