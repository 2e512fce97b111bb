"""The paper's Tables 2 to 7 beside what is counted, timed and reached here.

:mod:`.rows` reads the published figures and finds the configs that belong to them,
:mod:`.throughput` times these, and :mod:`.tables` sets all side by side.
"""
