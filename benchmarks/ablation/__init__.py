"""Backbones that differ in one thing, trained alike on small tasks (the paper's Table 7, in small).

:mod:`.variants` says what differs, :mod:`.tasks` makes the pictures (:mod:`.pairs` draws those of
one), :mod:`.training` trains a backbone, :mod:`.testing` tests it, :mod:`.runs` does both for all,
:mod:`.results` gathers what came out, :mod:`.accuracy_table` and :mod:`.accuracy_chart` show it.
"""
