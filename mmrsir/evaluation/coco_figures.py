"""The figures of a COCO evaluation, by the names that mmdet gives them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

AREAS = {'': 'all', 's': 'small', 'm': 'medium', 'l': 'large'}
PRECISIONS: tuple[str, ...] = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def recalls(proposal_nums: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the average recalls of so many detections of an image."""
    numbers = (f'AR@{number}' for number in dict.fromkeys(proposal_nums))
    return *numbers, *(f'AR_{area}@{max(proposal_nums)}' for area in AREAS if area)


@dataclass(frozen=True)
class CocoFigures:
    """Reads figures out of an evaluation of faster-coco-eval."""

    evaluation: Any  # COCOeval_faster, accumulated
    headline: int  # how many detections of an image count in mAP
    limit: int  # in all other APs

    def value(self, item: str, label: int | None = None) -> float:
        """Return a figure of a class, or the mean over those with objects; -1 without any."""
        threshold, area, number = self._place(item)
        settings = self.evaluation.params
        # By T IoU thresholds, R recalls (of precision alone), K classes, A areas and M numbers of
        # detections; -1 stands where there is no object.
        kind = 'recall' if item.startswith('AR') else 'precision'
        values = np.asarray(self.evaluation.eval[kind])
        if threshold is not None:
            values = values[np.isclose(settings.iouThrs, threshold)]
        values = values[..., list(AREAS).index(area), settings.maxDets.index(number)]
        if label is not None:
            values = values[..., label]
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    def summary(self, items: Iterable[str]) -> Iterator[str]:
        thresholds = self.evaluation.params.iouThrs
        for item in items:
            threshold, area, number = self._place(item)
            kind = 'Recall (AR)' if item.startswith('AR') else 'Precision (AP)'
            title, sign = f'Average {kind}'.rsplit(' ', 1)
            spread = f'{thresholds[0]:.2f}:{thresholds[-1]:.2f}'
            overlap = spread if threshold is None else f'{threshold:.2f}'
            yield (
                f' {title:<18} {sign} @[ IoU={overlap:<9} | area={AREAS[area]:>6s} '
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
