"""Calls functions in a process of their own, which may crash or hang."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TextIO

ERROR_CHARACTERS = 300


def told(error: BaseException) -> str:
    return one_line(f'{type(error).__name__}: {error}')


def one_line(text: str) -> str:
    return ' '.join(text.split())[:ERROR_CHARACTERS]


class Isolated:
    """Calls functions one after the other in one process, and in a new one after a crash.

    What they print goes into the log. A first import from a network file system may take minutes.
    """

    def __init__(self, log: TextIO, seconds: int = 180) -> None:
        self._log = log
        self._seconds = seconds
        self._process: multiprocessing.process.BaseProcess | None = None

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
        """Returns what the function returned, and its error; one of them is empty."""
        process = self._process or self._start()
        printed_before = self._log.seek(0, os.SEEK_END)
        try:
            self._pipe.send((function, arguments))
            if self._pipe.poll(self._seconds):
                return self._pipe.recv()
            process.kill()
            error = f'did not end within {self._seconds} seconds'
        except (EOFError, OSError):
            process.join()
            code = process.exitcode or 0
            how = f'crashed ({signal.Signals(-code).name})' if code < 0 else f'exited with {code}'
            self._log.seek(printed_before)
            last = (self._log.read().splitlines() or [''])[-1]
            error = one_line(f'the process {how} {last}')
        self._process = None
        return None, error

    def _start(self) -> multiprocessing.process.BaseProcess:
        context = multiprocessing.get_context('fork')
        self._pipe, theirs = context.Pipe()
        ends = self._pipe, theirs
        self._process = context.Process(target=_answer, args=(*ends, self._log), daemon=True)
        self._process.start()
        theirs.close()
        return self._process


def _answer(callers: Connection, pipe: Connection, log: TextIO) -> None:
    callers.close()  # or this process would outlive a caller that is killed
    for standard in (1, 2):
        os.dup2(log.fileno(), standard)
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = function(*arguments), ''
        except BaseException as error:  # a library may even exit
            answer = None, told(error)
        pipe.send(answer)
