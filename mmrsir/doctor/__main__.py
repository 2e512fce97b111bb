import argparse
import json
import sys
from pathlib import Path

from ..version import __version__
from . import __doc__ as about
from .checks import CHECKS, Result
from .examination import examine


def main() -> int:
    """Returns 1 if there is a problem, else 0."""
    description = (about or '').partition(': ')[2].partition('\n')[0]
    parser = argparse.ArgumentParser(prog='python -m mmrsir.doctor', description=description)
    parser.add_argument('--json', action='store_true', help='print a list of checks as JSON')
    results: dict[str, Result] = {}
    if parser.parse_args().json:
        results.update(examine())
        print(json.dumps([dict(name=name, **result._asdict()) for name, result in results.items()]))
    else:
        print(f'mmrsir {__version__} with {sys.executable}', flush=True)
        for name, result in examine():
            print(tell(name, result, results), flush=True)
            results[name] = result
        print_advice(results)
    return int(any(result.status == 'problem' for result in results.values()))


def tell(name: str, result: Result, earlier: dict[str, Result]) -> str:
    line = f'{result.status:8} {name:12} {result.found}'
    if not result.mending:
        return line
    same = [name for name, other in earlier.items() if other.mending == result.mending]
    mending = f'the same as for {same[0]}' if same else result.mending
    return f'{line}\n{"":8} {"fix:":12} {mending}'


def print_advice(results: dict[str, Result]) -> None:
    left_out = [check.name for check in CHECKS if check.name not in results]
    if left_out:
        print(f'Not checked, because they need what has a problem: {", ".join(left_out)}.')
    if any(result.mending for result in results.values()):
        root = Path(__file__).parents[2]
        place = root if (root / 'requirements').is_dir() else 'a checkout of mmrsir'
        print(
            f'Run the fixes in {place}, then check again. '
            'Or run `make setup` there: it makes .venv with the versions that we test.'
        )


if __name__ == '__main__':
    sys.exit(main())
