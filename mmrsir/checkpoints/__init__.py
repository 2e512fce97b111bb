"""Checkpoints: reading without running them, matching, sealing, publishing, those of Swin."""
