"""Prediction: our configs by name in the libraries' inferencers, and one predictor for all tasks.

Importing this package makes ``DetInferencer('rsir_t_1x_coco', weights=…)`` and its likes know the
names of our configs, with those of the three libraries that are installed.
"""

from . import names
from .predictor import Prediction, Predictor

names.register()

__all__ = ['Prediction', 'Predictor']
