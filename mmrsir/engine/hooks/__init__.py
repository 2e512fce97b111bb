"""Hooks of a training: guards, checkpoints, reports."""
