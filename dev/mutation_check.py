"""Break the core by small patches, each in a copy: the tests must notice each of them.

As many copies are tested at the same time as there are cores.
mutants.yml beside this file lists the patches and the tests that are to fail. The exit code is 1
where one is not noticed, 2 where the command or the list is wrong, and 0 otherwise.

Example:
    python dev/mutation_check.py --only nan_first order_forgotten
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import yaml  # type: ignore[import-untyped]
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from mmrsir.utils.arguments import check_choice
from mmrsir.utils.errors import InvalidValueError, UserError, plain_errors
from mmrsir.utils.progress import show_progress

ROOT = Path(__file__).parents[1]
MUTANTS = Path(__file__).with_name('mutants.yml')
COPIED = ('mmrsir', 'tests', 'tools', 'configs', 'pyproject.toml')
TESTS_FAILED = 1  # pytest's exit code


@dataclass(frozen=True)
class Mutant:
    """A patch that breaks something."""

    name: str
    breaks: str  # what does not hold any more
    file: str  # from the repository's root
    old: str
    new: str
    tests: list[str]  # files with the tests that are to fail
    slow: bool = False  # whether it takes slow tests to notice

    def patch(self, source: str) -> str:
        count = source.count(self.old)
        if count != 1:
            raise InvalidValueError(
                f'{self.name}: {self.old!r} is {count} times in {self.file}, not once'
            )
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    mutant: Mutant
    killer: str | None  # the test that failed; None if the mutant survived
    seconds: float


def read_mutants(path: Path) -> list[Mutant]:
    return [Mutant(**fields) for fields in yaml.safe_load(path.read_text())]


def check(mutants: Sequence[Mutant], root: Path) -> Iterator[Result]:
    """Run tests on each mutant, in a copy; a UserError says that they fail without one."""
    patched = [mutant.patch((root / mutant.file).read_text()) for mutant in mutants]
    files = sorted({file for mutant in mutants for file in mutant.tests})
    with tempfile.TemporaryDirectory() as folder:
        failed = first_failure(copy(root, Path(folder)), files)
    if failed is not None:
        raise UserError(f'{failed} fails without a mutant')
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(partial(_test, root), mutants, patched)


def _test(root: Path, mutant: Mutant, source: str) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        mutated = copy(root, Path(folder))
        (mutated / mutant.file).write_text(source)
        start = monotonic()
        killer = first_failure(mutated, mutant.tests, mutant.slow)
        return Result(mutant, killer, monotonic() - start)


def copy(root: Path, folder: Path) -> Path:
    """Copy what the tests need, and return the folder."""
    for name in COPIED:
        if (root / name).is_dir():
            ignore = shutil.ignore_patterns('__pycache__', '.mim')
            shutil.copytree(root / name, folder / name, ignore=ignore)
        elif (root / name).exists():
            shutil.copy(root / name, folder)
    return folder


def first_failure(root: Path, files: Iterable[str], slow: bool = False) -> str | None:
    """Return the first test that fails in a copy, whose package is imported; None if all pass."""
    # conftest.py has the data sets of other tests and imports the libraries that read them.
    command = [sys.executable, '-m', 'pytest', '-x', '-q', '-rfE', '--noconftest', *files]
    command += ['-m', 'slow or not slow'] if slow else []
    environment = {**os.environ, 'PYTHONPATH': str(root)}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    failed = re.search(r'^FAILED (.+?)(?: - .*)?$', done.stdout, re.MULTILINE)
    if done.returncode != TESTS_FAILED or failed is None:
        raise UserError(f'{" ".join(command)} does not run:\n{done.stdout}{done.stderr}')
    return failed[1]


def render(results: Sequence[Result]) -> Table:
    test = Column('caught by', overflow='fold')
    table = Table('mutant', 'what it breaks', 'result', test, 's', box=box.MARKDOWN)
    for result in results:
        outcome = 'survived' if result.killer is None else 'killed'
        name = Path((result.killer or '').partition('[')[0]).name  # without folder and parameters
        cells = (result.mutant.name, result.mutant.breaks, outcome, name)
        table.add_row(*map(Text, cells), f'{result.seconds:.0f}')
    return table


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--only', nargs='+', metavar='NAME', help='mutants (default: all)')
    args = parser.parse_args(argv)
    mutants = {mutant.name: mutant for mutant in read_mutants(MUTANTS)}
    for name in args.only or ():
        check_choice('--only', name, mutants)
    chosen = [mutants[name] for name in args.only or mutants]
    checked = check(chosen, ROOT)
    results = list(show_progress(checked, 'testing', len(chosen)))
    Console().print(render(results))
    survivors = sum(result.killer is None for result in results)
    print(f'{len(results) - survivors} killed, {survivors} survived')
    raise SystemExit(survivors > 0)


if __name__ == '__main__':
    with plain_errors(status=2):
        main()
