"""``python -m mmrsir.doctor``: can this environment run mmrsir, and what mends it.

Needs the standard library only: it also runs where mmrsir cannot be imported.
"""
