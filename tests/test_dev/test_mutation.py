"""The mutation check: its patches fit the source, and it tells what the tests notice."""

import ast
import importlib.util
from pathlib import Path

import pytest

from mmrsir.utils.errors import UserError

from ..helpers.commands import ROOT

PATH = ROOT / 'dev/mutation_check.py'
SOURCE = 'def total(a, b):\n    return a + b\n'
TEST = 'from mmrsir.total import total\n\n\ndef test_total():\n    assert total(1, 2) == 3\n'


def load_tool():
    spec = importlib.util.spec_from_file_location('mutation_check', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()
MUTANTS = TOOL.read_mutants(TOOL.MUTANTS)


def total_mutant(new, old='a + b', name='changed'):
    return TOOL.Mutant(name, 'the sum', 'mmrsir/total.py', old, new, ['tests/test_total.py'])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A package with one function and its test."""
    for name, text in [
        ('mmrsir/__init__.py', ''),
        ('mmrsir/total.py', SOURCE),
        ('tests/test_total.py', TEST),
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize('mutant', MUTANTS, ids=lambda mutant: mutant.name)
def test_patch_fits_and_gives_other_code_that_parses(mutant):
    source = (ROOT / mutant.file).read_text()
    patched = ast.parse(mutant.patch(source))
    assert ast.dump(patched) != ast.dump(ast.parse(source))
    assert all((ROOT / file).is_file() for file in mutant.tests)


def test_names_are_unique():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_what_breaks_a_test_is_killed_and_what_breaks_nothing_survives(repository):
    results = TOOL.check([total_mutant('a - b'), total_mutant('b + a')], repository)
    assert [result.killer for result in results] == ['tests/test_total.py::test_total', None]
    assert (repository / 'mmrsir/total.py').read_text() == SOURCE


@pytest.mark.parametrize(('old', 'count'), [('a * b', 0), ('a', 3)])
def test_patch_that_does_not_fit_is_refused(repository, old, count):
    with pytest.raises(ValueError, match=f'changed: .* is {count} times in mmrsir/total.py'):
        next(TOOL.check([total_mutant('b', old)], repository))


@pytest.mark.slow
def test_tests_that_fail_without_a_mutant_are_named(repository):
    (repository / 'tests/test_total.py').write_text(TEST.replace('3', '4'))
    with pytest.raises(UserError, match='test_total.py::test_total fails without a mutant'):
        next(TOOL.check([total_mutant('a - b')], repository))


@pytest.mark.slow
def test_mutant_that_cannot_be_imported_is_not_killed(repository):
    with pytest.raises(UserError, match='does not run'):
        next(TOOL.check([total_mutant('a +')], repository))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('new', 'word', 'code'), [('a - b', 'killed', False), ('b + a', 'survived', True)]
)
def test_command_tells_and_fails_if_one_survives(repository, monkeypatch, capsys, new, word, code):
    monkeypatch.setattr(TOOL, 'ROOT', repository)
    monkeypatch.setattr(TOOL, 'read_mutants', lambda path: [total_mutant(new)])
    monkeypatch.setenv('COLUMNS', '200')
    with pytest.raises(SystemExit) as stopped:
        TOOL.main([])
    assert stopped.value.code == code
    out = capsys.readouterr().out
    assert word in next(line for line in out.splitlines() if line.startswith('| changed'))


def test_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'nan_first'\\?"):
        TOOL.main(['--only', 'nan_frist'])
