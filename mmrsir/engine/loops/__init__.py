"""Loops that can be resumed inside an epoch, and loops that refuse an empty data set."""
