"""Inspection of files by processes, of which one that crashes or hangs costs its file only."""

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait

from ...utils.progress import show_progress
from .faults import Inspection

SECONDS_PER_FILE = 60.0
# A forked process begins at once; one that is spawned would first import torch.
_CONTEXT = get_context('fork')


@dataclass(frozen=True)
class Inspector:
    workers: int
    seconds: float = SECONDS_PER_FILE

    def inspect(
        self, function: Callable[[str], Inspection], paths: Sequence[str], title: str
    ) -> Iterator[Inspection]:
        found = self._inspections(function, paths)
        yield from show_progress(found, title, len(paths))

    def _inspections(
        self, function: Callable[[str], Inspection], paths: Sequence[str]
    ) -> Iterator[Inspection]:
        waiting = iter(paths)
        idle: list[_Worker] = []
        busy: dict[Connection, _Worker] = {}
        try:
            while True:
                for path in islice(waiting, self.workers - len(busy)):
                    worker = idle.pop() if idle else _Worker(function)
                    busy[worker.connection] = worker
                    worker.give(path, self.seconds)
                if not busy:
                    return
                next_end = min(worker.end for worker in busy.values())
                ready = wait(list(busy), max(0.0, next_end - time.monotonic()))
                now = time.monotonic()
                for connection, worker in list(busy.items()):
                    if connection in ready:
                        inspection = worker.take()
                    elif worker.end <= now:
                        worker.stop()
                        said = f'stopped after {self.seconds:g} s'
                        inspection = Inspection.of(worker.path, {'hang': said})
                    else:
                        continue
                    del busy[connection]
                    if worker.process.is_alive():
                        idle.append(worker)
                    yield inspection
        finally:
            for worker in [*idle, *busy.values()]:
                worker.stop()


class _Worker:
    """A process that inspects one file after the other."""

    def __init__(self, function: Callable[[str], Inspection]) -> None:
        self.connection, other = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(
            target=_work, args=(function, other, self.connection), daemon=True
        )
        self.process.start()
        other.close()
        self.path = ''
        self.end = 0.0

    def give(self, path: str, seconds: float) -> None:
        self.path = path
        self.end = time.monotonic() + seconds
        self.connection.send(path)

    def take(self) -> Inspection:
        """Return the inspection of the file, or the end of the process as its fault."""
        try:
            inspection: Inspection = self.connection.recv()
            return inspection
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f'exit code {code}'
            return Inspection.of(self.path, {'crash': how})

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _work(
    function: Callable[[str], Inspection], connection: Connection, others_end: Connection
) -> None:
    others_end.close()  # or the end of the parent would not close it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    warnings.simplefilter('ignore')  # of Pillow; they would stand among the progress
    with suppress(EOFError, ConnectionError):  # the parent has ended
        while True:
            connection.send(function(connection.recv()))
    os._exit(0)  # and does not have what it had not yet printed printed here
