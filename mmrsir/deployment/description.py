"""What an ONNX file tells about itself, so that a program needs nothing else to use it."""

import json
from typing import Any

from ..apis import Predictor
from ..engine.scopes import innermost_dataset

LEFT_OUT = ('LoadImage', 'LoadAnnotations', 'Pack')  # steps that do not change the image


def describe(predictor: Predictor, part: str) -> dict[str, str]:
    """Return the metadata of a file, values as JSON.

    Args:
        predictor: The model and its config.
        part: What is exported.

    Returns:
        ``task``, what was exported; ``classes`` and their colours, ``palette``; ``channels``,
        ``mean`` and ``std``, by which images are normalized; ``steps``, what comes before that:
        the transforms of the test pipeline. The file of a whole detector does all that itself.
    """
    described: dict[str, Any] = dict(task=part, classes=list(predictor.classes))
    palette = (getattr(predictor.model, 'dataset_meta', None) or {}).get('palette')
    if isinstance(palette, (list, tuple)):
        described['palette'] = [list(map(int, colour)) for colour in palette]
    if part != 'detector':
        settings = predictor.model.data_preprocessor
        # mmpretrain's has a name of its own for it.
        to_rgb = getattr(settings, 'to_rgb', None) or getattr(
            settings, '_channel_conversion', False
        )
        described['channels'] = 'RGB' if to_rgb else 'BGR'
        for name in ('mean', 'std'):
            if hasattr(settings, name):  # else the model takes pixels as they are
                described[name] = getattr(settings, name).flatten().tolist()
        described['steps'] = [
            dict(step)
            for step in innermost_dataset(predictor.cfg).get('pipeline', [])
            if not step['type'].rpartition('.')[2].startswith(LEFT_OUT)
        ]
    return {key: json.dumps(value) for key, value in described.items()}
