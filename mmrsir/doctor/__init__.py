"""``python -m mmrsir.doctor``: checks your environment and prints a fix for each problem.

Needs the standard library only: it also runs where mmrsir cannot be imported.
"""
