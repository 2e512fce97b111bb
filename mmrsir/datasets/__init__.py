"""Data sets: the synthetic shapes that tests and the demo train on."""
