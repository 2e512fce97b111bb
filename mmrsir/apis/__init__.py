"""Prediction: one predictor for all tasks.

The libraries' own inferencers know our configs by name, as in
``DetInferencer('rsir_t_1x_coco', weights=…)``, once :mod:`mmrsir.replacements` is imported.
"""

from ..engine.noise import imports_unsaid

with imports_unsaid():
    from .predictor import Prediction, Predictor

__all__ = ['Prediction', 'Predictor']
