"""The processor that a measurement ran on."""

import platform
from pathlib import Path


def processor_name() -> str:
    """Return the processor's name, which Python itself does not know on Linux."""
    told = Path('/proc/cpuinfo')
    for line in told.read_text().splitlines() if told.exists() else ():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.machine()
