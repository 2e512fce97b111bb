"""Label maps with names in any script, for mmseg.

Its own visualizer writes with OpenCV, which draws ``?`` for every letter that is not ASCII.
:mod:`mmrsir.replacements` puts this one in its place.
"""

from collections.abc import Sequence
from typing import Any

import mmseg.visualization
import numpy as np

_FONT_SIZE = 0.035  # of the shorter side


class SegLocalVisualizer(mmseg.visualization.SegLocalVisualizer):
    """Draws label maps as mmseg does, and names that are not ASCII with matplotlib."""

    def _draw_sem_seg(
        self,
        image: np.ndarray,
        sem_seg: Any,
        classes: Sequence[str],
        palette: Sequence[Any],
        with_labels: bool = True,
    ) -> np.ndarray:
        if image.shape[:2] == (1, 1):  # mmseg takes a mask of one pixel for an index
            return image
        plain = all(map(str.isascii, classes))
        drawn = super()._draw_sem_seg(image, sem_seg, classes, palette, with_labels and plain)
        if plain or not with_labels:
            return drawn
        label_map = sem_seg.cpu().data[0].numpy()
        labels = [label for label in np.unique(label_map).tolist() if label < len(classes)]
        places = [self._get_center_loc((label_map == label).astype(np.uint8)) for label in labels]
        colors = [tuple(shade / 255 for shade in palette[label]) for label in labels]
        self.draw_texts(
            [classes[label] for label in labels],
            np.array(places).reshape(-1, 2),
            font_sizes=max(8, int(_FONT_SIZE * min(image.shape[:2]))),
            colors='w',
            bboxes=[dict(facecolor=color, edgecolor='k', pad=1) for color in colors],
        )
        return self.get_image()
