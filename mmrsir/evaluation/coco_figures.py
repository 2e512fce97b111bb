"""The figures of a COCO evaluation, by the names that mmdet gives them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import InvalidValueError

AREAS = {'': 'all', 's': 'small', 'm': 'medium', 'l': 'large'}


@dataclass(frozen=True)
class CocoFigures:
    """Precision and recall by T IoU thresholds, R recalls, K classes, A areas and M limits.

    A limit is a number of detections that count in an image. -1 stands where there is no object.
    """

    precision_TRKAM: NDArray[np.float64]
    recall_TKAM: NDArray[np.float64]
    thresholds: Sequence[float]
    limits: Sequence[int]
    headline: int  # limit of mAP
    limit: int  # of all other APs
    proposal_nums: Sequence[int]  # of the average recalls

    @property
    def precision_items(self) -> list[str]:
        return ['mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l']

    @property
    def recall_items(self) -> list[str]:
        largest = max(self.proposal_nums)
        names = [f'AR@{number}' for number in dict.fromkeys(self.proposal_nums)]
        return names + [f'AR_{area}@{largest}' for area in AREAS if area]

    def value(self, item: str, label: int | None = None) -> float:
        """Return a figure of a class, or the mean over those with objects; -1 without any."""
        if item not in (*self.precision_items, *self.recall_items):
            known = ', '.join(self.precision_items + self.recall_items)
            raise InvalidValueError(f'metric_items: {item!r} is unknown; allowed: {known}')
        threshold, area, number = self._place(item)
        values = self.recall_TKAM if item.startswith('AR') else self.precision_TRKAM
        if threshold is not None:
            values = values[np.isclose(self.thresholds, threshold)]
        values = values[..., list(AREAS).index(area), self.limits.index(number)]
        if label is not None:
            values = values[..., label]
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    def summary(self) -> Iterator[str]:
        spread = f'{self.thresholds[0]:.2f}:{self.thresholds[-1]:.2f}'
        for item in self.precision_items + self.recall_items:
            threshold, area, number = self._place(item)
            kind = '(AR)' if item.startswith('AR') else '(AP)'
            title = 'Average Recall' if kind == '(AR)' else 'Average Precision'
            overlap = spread if threshold is None else f'{threshold:.2f}'
            yield (
                f' {title:<18} {kind} @[ IoU={overlap:<9} | area={AREAS[area]:>6s} '
                f'| maxDets={number:>3d} ] = {self.value(item):0.3f}'
            )

    def _place(self, item: str) -> tuple[float | None, str, int]:
        """Return the IoU threshold, if it is one, the area and the number of detections."""
        name, _, number = item.partition('@')
        suffix = name.partition('_')[2]
        if number:
            return None, suffix, int(number)
        if suffix.isdecimal():
            return int(suffix) / 100, '', self.limit
        return None, suffix, self.limit if suffix else self.headline
