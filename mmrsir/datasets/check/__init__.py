"""Data sets checked before training: every file is decoded, every annotation is looked at."""
