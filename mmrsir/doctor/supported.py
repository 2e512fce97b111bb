"""Versions that mmrsir runs with; dev/setup_checks.py reads them, with any Python from 3.8."""

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 12)
OLDEST_TORCH, FIRST_CPP20_TORCH = (2, 7), (2, 14)
