"""Pictures of samples, drawn by the visualizer of the library that they come from."""

from pathlib import Path
from typing import Any

import numpy as np

PREDICTION_PREFIX = 'val_'  # of the names of pictures that a validation draws
SHORT_SIDE = 256  # pixels of a classified image: smaller ones have no room for the text


def draw_sample(
    visualizer: Any,
    image: np.ndarray,
    sample: Any,
    name: str = '',
    step: int = 0,
    out_file: str | Path | None = None,
    score_thr: float = 0.3,
    draw_pred: bool = True,
) -> None:
    """Draw a sample, and what was predicted beside it, into a file or the visualizer's backends."""
    settings: dict[str, Any] = dict(
        name=name,
        step=step,
        out_file=None if out_file is None else str(out_file),
        draw_pred=draw_pred,
    )
    if hasattr(visualizer, 'visualize_cls'):
        visualizer.visualize_cls(image, sample, resize=SHORT_SIDE, **settings)
        return
    if 'gt_instances' in sample or 'pred_instances' in sample:
        settings['pred_score_thr'] = score_thr
    visualizer.add_datasample(image=image, data_sample=sample, **settings)
