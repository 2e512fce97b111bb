"""Time of models beside each other, and beside their own linear and convolution layers.

:mod:`.subjects` builds models by name, :mod:`.runs` times them in turn in one process,
:mod:`.floor` replays their layers alone, :mod:`.memory` measures the peak, and
:mod:`.timings_table` and :mod:`.timings_chart` show the :mod:`.results`.
"""
