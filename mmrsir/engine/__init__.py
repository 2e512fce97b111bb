"""From a config file and a command line to a run, for mmdet, mmseg and mmpretrain."""
