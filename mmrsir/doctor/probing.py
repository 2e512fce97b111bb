"""Runs :mod:`.probes` in another process, which may crash or hang."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any, NamedTuple, TextIO

from . import probes

ERROR_CHARACTERS = 300


class Outcome(NamedTuple):
    found: dict[str, Any]
    error: str  # one line; empty if nothing went wrong


class Prober:
    """Runs probes, one after the other in one process, and in another one after a crash.

    Libraries print into the log. A first import from a network file system may take minutes.
    """

    def __init__(self, log: TextIO, seconds: int = 180) -> None:
        self._log = log
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, probe: str, *arguments: str) -> Outcome:
        process = self._process or self._start()
        assert process.stdin and process.stdout
        start = self._log.seek(0, os.SEEK_END)
        with suppress(BrokenPipeError):  # it may have ended since the last answer
            process.stdin.write(' '.join([probe, *arguments]) + '\n')
            process.stdin.flush()
        answer = process.stdout.readline()
        if answer:
            found, error = json.loads(answer).values()
        else:
            self._process = None
            self._log.seek(start)
            found, error = {}, self._epitaph(process.wait(), self._log.read())
        return Outcome(found, ' '.join(error.split())[:ERROR_CHARACTERS])

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, probes.__file__, str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        return self._process

    def _epitaph(self, code: int, output: str) -> str:
        if code == -signal.SIGALRM:
            return f'did not end within {self._seconds} seconds'
        ending = f'crashed ({signal.Signals(-code).name})' if code < 0 else f'exited with {code}'
        last = (output.splitlines() or [''])[-1]
        return f'the process {ending} {last}'
