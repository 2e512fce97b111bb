"""Runs the checks in a process of their own, where a library may crash or hang."""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TextIO

from .checks import CHECKS, Check, Result, told

SECONDS = 180  # a first import from a network file system may take minutes


def examine() -> Iterator[tuple[str, Result]]:
    """Yields names and results; leaves out what needs something that has a problem."""
    context = multiprocessing.get_context('fork')
    results: dict[str, Result] = {}
    with tempfile.TemporaryFile(mode='w+', errors='replace') as log:
        while next_check(results):
            pipe, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_run_rest, args=(results, theirs, log))
            process.start()
            theirs.close()
            with suppress(EOFError):
                while True:
                    name, results[name] = pipe.recv()
                    yield name, results[name]
            process.join()
            if check := next_check(results):
                results[check.name] = check.failed(_how_it_ended(process.exitcode or 0, log))
                yield check.name, results[check.name]


def next_check(results: dict[str, Result]) -> Check | None:
    usable = {name for name, result in results.items() if result.status != 'problem'}
    due = (each for each in CHECKS if each.name not in results and usable.issuperset(each.needs))
    return next(due, None)


def _run_rest(results: dict[str, Result], pipe: Connection, log: TextIO) -> None:
    for standard in (1, 2):
        os.dup2(log.fileno(), standard)
    while check := next_check(results):
        os.ftruncate(1, 0)
        os.lseek(1, 0, os.SEEK_SET)
        signal.alarm(SECONDS)  # which ends the process
        try:
            results[check.name] = check.run()
        except BaseException as error:  # a library may even exit
            results[check.name] = check.failed(told(error))
        pipe.send((check.name, results[check.name]))


def _how_it_ended(code: int, log: TextIO) -> str:
    if code == -signal.SIGALRM:
        return f'did not end within {SECONDS} seconds'
    how = f'crashed ({signal.Signals(-code).name})' if code < 0 else f'exited with {code}'
    log.seek(0)
    last = (log.read().splitlines() or [''])[-1]
    return told(f'the process {how} {last}')
