"""The set-up's own decisions: what it refuses, what it keeps, what it does again."""

import ast
import importlib.util
import os
import re
import shutil
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_tool(name: str) -> ModuleType:
    """Import a file of tools/ under its own name, as running one of them does."""
    spec = importlib.util.spec_from_file_location(name, ROOT / 'dev' / f'{name}.py')
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checks = load_tool('setup_checks')
setup_env = load_tool('setup_env')
build_mmcv = load_tool('build_mmcv')


def pins() -> list[tuple[str, str, str]]:
    """(file, package, marker) of every requirement; a line that is not an exact pin fails."""
    found = []
    for file in sorted((ROOT / 'requirements').glob('*.txt')):
        for line in file.read_text().splitlines():
            if line and not line.startswith('#'):
                pin = re.fullmatch(
                    r'([\w.-]+)==[\w.]+(?:; (python_version [<>=]+ "3\.\d+"))?', line
                )
                assert pin, f'{file.name}: {line!r} is not an exact version'
                found.append((file.name, pin[1].lower().replace('_', '-'), pin[2] or ''))
    return found


@pytest.fixture
def make_venv(tmp_path):
    """Makes the outline of an environment with these packages; its Python is ours."""

    def make(*packages: str, record: bool = True) -> Path:
        venv = tmp_path / '.venv'
        (venv / 'bin').mkdir(parents=True, exist_ok=True)
        if not (venv / 'bin' / 'python').exists():
            (venv / 'bin' / 'python').symlink_to(sys.executable)
        for package in packages:
            info = venv / 'lib' / 'python3.11' / 'site-packages' / f'{package}.dist-info'
            info.mkdir(parents=True)
            if record:
                (info / 'RECORD').touch()
        return venv

    return make


class TestRefusals:
    @pytest.mark.parametrize('version', [(2, 7), (3, 8), (3, 9), (3, 13), (4, 0)])
    def test_unsupported_python_is_told_what_to_type(self, version):
        problem = checks.python_problem(version)
        assert f'Python {version[0]}.{version[1]} ' in problem
        assert 'make PYTHON=python3.11 demo' in problem

    @pytest.mark.parametrize('version', [(3, 10), (3, 11, 7), (3, 12, 1, 'final', 0)])
    def test_supported_python_is_accepted(self, version):
        assert checks.python_problem(version) is None

    def test_unsupported_python_stops_before_anything_is_touched(self, monkeypatch, capsys):
        monkeypatch.setattr(setup_env, 'sys', SimpleNamespace(version_info=(3, 13, 0)))
        monkeypatch.setattr(setup_env, 'only_one_at_a_time', lambda folder: pytest.fail('went on'))
        assert setup_env.main() == 1
        assert capsys.readouterr().out.count('\n') == 1

    @pytest.mark.parametrize('name', ['setup_env', 'setup_checks'])
    def test_an_old_python_can_read_the_refusal(self, name):
        source = (ROOT / 'dev' / f'{name}.py').read_text()
        ast.parse(source, feature_version=(3, 8))
        assert 'from __future__ import annotations' in source

    @pytest.mark.parametrize('version', ['2.14.0', '2.14.0+cpu', '2.20.1', '3.0'])
    def test_torch_that_needs_cpp20_is_refused(self, version):
        problem = checks.torch_problem(version, 'in a file')
        assert version in problem and 'C++20' in problem and 'in a file' in problem

    @pytest.mark.parametrize('version', [None, '2.4.1', '2.11.0', '2.13.0+cu130'])
    def test_older_or_absent_torch_is_accepted(self, version):
        assert checks.torch_problem(version, 'in a file') is None

    def test_too_new_torch_in_the_environment_is_found(self, make_venv):
        venv = make_venv('torch-2.14.1+cu130', 'torchvision-0.29.0')
        assert any('torch 2.14.1+cu130' in problem for problem in checks.all_problems(venv))

    @pytest.mark.parametrize(
        ('system', 'sixty_four_bit', 'accepted'),
        [
            ('Linux', True, True),
            ('Darwin', True, True),
            ('Linux', False, False),
            ('Windows', True, False),
        ],
    )
    def test_system(self, system, sixty_four_bit, accepted):
        assert (checks.system_problem(system, sixty_four_bit) is None) == accepted

    def test_all_problems_are_listed_at_once(self, monkeypatch, tmp_path):
        monkeypatch.setattr(checks.sys, 'version_info', (3, 9, 1))
        monkeypatch.setattr(checks.platform, 'system', lambda: 'Windows')
        monkeypatch.setattr(checks.importlib.util, 'find_spec', lambda module: None)
        monkeypatch.setattr(checks.shutil, 'which', lambda program: None)
        monkeypatch.setattr(checks.shutil, 'disk_usage', lambda path: SimpleNamespace(free=1e9))
        monkeypatch.setattr(checks, 'pinned_version', lambda package: '2.15.0')
        text = '\n'.join(checks.all_problems(tmp_path / 'a folder' / '.venv'))
        for part in ('3.9', 'Windows', 'blank', 'ensurepip', 'C++ compiler', '2.15.0', '1.0 GB'):
            assert part in text


class TestCompiler:
    def test_a_missing_compiler_is_named(self, monkeypatch):
        monkeypatch.setenv('CXX', 'no-such-compiler')
        assert 'no-such-compiler' in checks.compiler_problem()

    def test_missing_headers_are_named(self, monkeypatch, tmp_path):
        monkeypatch.setattr(checks.shutil, 'which', lambda program: program)
        assert f'{tmp_path} has no Python.h' in checks.compiler_problem(tmp_path)

    def test_a_compiler_that_fails_is_quoted(self, monkeypatch, tmp_path):
        (tmp_path / 'Python.h').touch()
        broken = tmp_path / 'broken-c++'
        broken.write_text('#!/bin/sh\necho cannot do that >&2\nexit 1\n')
        broken.chmod(0o755)
        monkeypatch.setenv('CXX', str(broken))
        assert 'cannot do that' in checks.compiler_problem(tmp_path)

    @pytest.mark.parametrize(
        ('cores', 'gigabytes', 'jobs'),
        [(2, 24, 2), (2, 2, 1), (64, 6.1, 4), (8, 0.1, 1), (4, float('inf'), 4)],
    )
    def test_jobs_fit_into_cores_and_memory(self, cores, gigabytes, jobs):
        assert build_mmcv.compile_jobs(cores, gigabytes * 1e9) == jobs

    @pytest.mark.parametrize(
        ('limit', 'expected'), [('max', 4000 * 1024), ('3000000', 3000000 - 1000000)]
    )
    def test_a_containers_memory_limit_counts(self, tmp_path, limit, expected):
        (tmp_path / 'meminfo').write_text('MemTotal: 9000 kB\nMemAvailable:    4000 kB\n')
        (tmp_path / 'memory.max').write_text(limit + '\n')
        (tmp_path / 'memory.current').write_text('1000000\n')
        assert build_mmcv.available_memory(tmp_path, tmp_path) == expected


class TestDisk:
    def usage(self, free_gb):
        return lambda path: SimpleNamespace(free=free_gb * 1e9)

    def test_folders_on_one_disk_share_it(self, monkeypatch, tmp_path):
        monkeypatch.setattr(checks.shutil, 'disk_usage', self.usage(5))
        needs = {tmp_path / 'not' / 'yet' / 'there': 3.0, tmp_path: 3.0}
        (problem,) = checks.disk_problems(needs)
        assert f'5.0 GB are free for {tmp_path} and {tmp_path}; 6 GB' in problem

    def test_enough_room_is_no_problem(self, monkeypatch, tmp_path):
        monkeypatch.setattr(checks.shutil, 'disk_usage', self.usage(6.1))
        assert checks.disk_problems({tmp_path / 'a': 3.0, tmp_path / 'b': 3.0}) == []

    def test_an_update_needs_less_than_a_first_set_up(self, monkeypatch, make_venv):
        monkeypatch.setattr(checks.shutil, 'disk_usage', self.usage(checks.UPDATE_GB + 1))
        assert any('GB are free' in problem for problem in checks.all_problems(make_venv()))
        venv = make_venv('torch-2.11.0')
        assert not any('GB are free' in problem for problem in checks.all_problems(venv))


class TestRequirements:
    def test_every_package_is_pinned_once(self):
        keys = [(package, marker) for _, package, marker in pins()]
        assert sorted(keys) == sorted(set(keys))

    def test_both_opencv_packages_have_one_version(self):
        version = checks.pinned_version('opencv-python')
        assert version is not None
        assert version == checks.pinned_version('opencv-python-headless')

    def test_the_pinned_torch_and_mmcv_are_usable(self):
        assert checks.torch_problem(checks.pinned_version('torch'), '') is None
        pinned = checks.pinned_version('onedl-mmcv')
        assert build_mmcv.mmcv_requirement() == f'onedl-mmcv=={pinned}'


class TestWheelCache:
    def folder(self, torch='2.11.0', cuda=None, mmcv='2.3.6', **environ):
        return build_mmcv.cache_folder(torch, cuda, mmcv, environ)

    def test_the_folder_tells_all_versions_apart(self, monkeypatch):
        folders = [
            self.folder(),
            self.folder(torch='2.10.0'),
            self.folder(cuda='cu130'),
            self.folder(cuda='cu128'),
            self.folder(mmcv='2.3.7'),
        ]
        monkeypatch.setattr(build_mmcv.sys, 'version_info', (3, 7, 0))
        folders.append(self.folder())
        assert len(set(folders)) == len(folders)

    def test_the_cache_can_be_moved(self, tmp_path):
        assert self.folder(MMRSIR_CACHE=str(tmp_path)).parent == tmp_path / 'wheels'
        assert self.folder(XDG_CACHE_HOME=str(tmp_path)).parent == tmp_path / 'mmrsir' / 'wheels'
        assert self.folder().parent == Path.home() / '.cache' / 'mmrsir' / 'wheels'

    def test_a_stored_wheel_is_complete(self, tmp_path):
        wheel = tmp_path / 'mmcv.whl'
        wheel.write_bytes(b'all of it')
        stored = build_mmcv.store(wheel, tmp_path / 'cache')
        assert stored.read_bytes() == b'all of it'
        assert list(stored.parent.iterdir()) == [stored]

    def test_an_interrupted_store_leaves_nothing(self, monkeypatch, tmp_path):
        def copy_half(source, target):
            Path(target).write_bytes(b'half of')
            raise KeyboardInterrupt

        monkeypatch.setattr(build_mmcv.shutil, 'copyfile', copy_half)
        with pytest.raises(KeyboardInterrupt):
            build_mmcv.store(tmp_path / 'mmcv.whl', tmp_path / 'cache')
        assert list((tmp_path / 'cache').iterdir()) == []

    @pytest.mark.parametrize('content', ['mmcv/__init__.py', 'mmcv/_ext.cpython-311.so'])
    def test_a_wheel_without_working_ops_is_not_used(self, tmp_path, content):
        with zipfile.ZipFile(tmp_path / 'mmcv.whl', 'w') as archive:
            archive.writestr(content, 'not a library')
        assert build_mmcv.cached_wheel(tmp_path) is None


class TestState:
    PYTHON = f'{sys.version_info[0]}.{sys.version_info[1]}'

    def test_a_changed_requirement_changes_the_fingerprint(self, tmp_path):
        shutil.copytree(ROOT / 'requirements', tmp_path, dirs_exist_ok=True)
        before = setup_env.fingerprint(tmp_path)
        assert before == setup_env.fingerprint(ROOT / 'requirements')
        with (tmp_path / 'dev.txt').open('a') as file:
            file.write('one-more==1.0\n')
        assert setup_env.fingerprint(tmp_path) != before

    def test_a_finished_environment_is_left_alone(self, monkeypatch, make_venv, capsys):
        venv = make_venv()
        setup_env.write_state(venv, setup_env.finished_state(self.PYTHON))
        monkeypatch.setattr(setup_env, 'all_problems', lambda venv: pytest.fail('looked further'))
        assert setup_env.set_up(venv, lock=-1) == 0
        assert capsys.readouterr().out == '.venv is set up.\n'

    @pytest.mark.parametrize('succeeds', [True, False])
    def test_only_a_complete_run_counts_as_finished(self, monkeypatch, make_venv, succeeds):
        venv = make_venv()
        steps = [setup_env.Step('a step', 'no time', [['true' if succeeds else 'false']])]
        monkeypatch.setattr(setup_env, 'make_steps', lambda venv: steps)
        monkeypatch.setattr(setup_env, 'all_problems', lambda venv: [])
        with open(os.devnull) as lock:
            assert setup_env.set_up(venv, lock.fileno()) == (0 if succeeds else 1)
        finished = setup_env.finished_state(self.PYTHON)
        assert (setup_env.read_state(venv) == finished) == succeeds
        assert not (venv / 'tmp').exists()

    def test_problems_stop_the_set_up(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(setup_env, 'all_problems', lambda venv: ['first', 'second'])
        assert setup_env.set_up(tmp_path / '.venv', lock=-1) == 1
        assert '- first\n  - second' in capsys.readouterr().out
        assert not (tmp_path / '.venv').exists()

    def test_an_environment_for_another_python_or_place_is_kept(self, make_venv):
        venv = make_venv()
        assert setup_env.existing_venv_problem(venv, self.PYTHON) is None
        assert 'remove or rename' in setup_env.existing_venv_problem(venv, '3.99')
        setup_env.write_state(venv, {'root': '/elsewhere'})
        assert '/elsewhere' in setup_env.existing_venv_problem(venv, self.PYTHON)

    def test_a_half_installed_package_is_forgotten(self, make_venv):
        venv = make_venv('whole-1.0')
        make_venv('half-1.0', record=False)
        (venv / 'tmp').mkdir()
        setup_env.clear_remains(venv)
        assert checks.installed_version('whole', venv) == '1.0'
        assert checks.installed_version('half', venv) is None
        assert not (venv / 'tmp').exists()

    def test_an_environment_without_a_working_python_is_removed(self, make_venv):
        venv = make_venv()
        (venv / 'bin' / 'python').unlink()
        (venv / 'bin' / 'python').symlink_to('/no/such/python')
        setup_env.clear_remains(venv)
        assert not venv.exists()


class TestRunning:
    def test_a_failure_shows_the_log_and_a_remedy(self, make_venv, capsys):
        log = make_venv() / 'setup.log'
        log.write_text('noise\n' * 100 + 'OSError: [Errno 28] No space left on device\n')
        setup_env.explain(setup_env.StepFailedError('pip ended with 1'), log)
        out = capsys.readouterr().out
        assert out.count('noise') == setup_env.LOG_LINES_SHOWN - 1
        assert str(log) in out and 'pip ended with 1' in out and 'The disk is full' in out

    def test_an_interrupt_ends_what_the_command_started(self, monkeypatch, make_venv):
        def interrupt(seconds, log):
            raise KeyboardInterrupt

        log = make_venv() / 'setup.log'
        monkeypatch.setattr(setup_env, 'SECONDS_BETWEEN_LINES', 0.5)
        monkeypatch.setattr(setup_env, 'show_progress', interrupt)
        with open(os.devnull) as lock, pytest.raises(KeyboardInterrupt):
            setup_env.run_logged(['sh', '-c', 'sleep 60 & echo $!; wait'], log, lock.fileno())
        grandchild = Path('/proc', log.read_text().strip(), 'stat')
        deadline = time.monotonic() + 5
        while grandchild.exists() and grandchild.read_text().split()[2] != 'Z':
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def test_progress_counts_compiled_files(self, make_venv, capsys):
        log = make_venv() / 'setup.log'
        log.write_text('  [3/78] c++ -c a.cpp\n  [4/78] c++ -c b.cpp -o b.o\n\n')
        setup_env.show_progress(65.4, log)
        assert capsys.readouterr().out.split() == ['1:05', '4', 'of', '78', 'files', 'compiled']

    def test_notes_reach_the_user(self, make_venv, capsys):
        log = make_venv() / 'setup.log'
        log.touch()
        step = setup_env.Step('a step', 'no time', [['printf', 'noise\nnote: read this\n']])
        with open(os.devnull) as lock:
            setup_env.run_step(step, '1/1', log, lock.fileno())
        out = capsys.readouterr().out
        assert 'read this' in out and 'noise' not in out
