"""The set-up's own decisions: what it refuses, what it keeps, what it does again."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import build_mmcv
import get_python
import pytest
import setup_env
import uv_install

from ..helpers.commands import ROOT

machine, MINE = setup_env.machine, setup_env.MINE


@pytest.fixture
def make_venv(tmp_path):
    """Makes the outline of an environment with these packages; its Python is ours."""

    def make(*packages: str, files: tuple[str, ...] = ('RECORD', 'INSTALLER')) -> Path:
        venv = tmp_path / '.venv'
        (venv / 'bin').mkdir(parents=True, exist_ok=True)
        if not (venv / 'bin' / 'python').exists():
            (venv / 'bin' / 'python').symlink_to(sys.executable)
        for package in packages:
            info = venv / 'lib' / 'python3.11' / 'site-packages' / f'{package}.dist-info'
            info.mkdir(parents=True)
            for file in files:
                (info / file).touch()
        return venv

    return make


def others(monkeypatch, free_gb=100, **attributes):
    """Another machine, as far as the checks look."""
    monkeypatch.setattr(
        setup_env.shutil, 'disk_usage', lambda path: SimpleNamespace(free=free_gb * 1e9)
    )
    for name, value in attributes.items():
        monkeypatch.setattr(setup_env.platform, name, lambda value=value: value)


class TestMachine:
    @pytest.mark.parametrize('version', [(2, 7), (3, 9), (3, 10), (3, 14, 1), (3, 15), (4, 0)])
    def test_another_python_is_refused(self, version):
        problem = machine.python_problem(version)
        if (3, 10) <= version[:2] <= (3, 14):
            assert problem is None
        else:
            assert f'Python {version[0]}.{version[1]} ' in problem and '3.10 to 3.14' in problem

    def test_makefile_takes_the_same_pythons(self):
        makefile = (ROOT / 'Makefile').read_text()
        assert (
            f'{machine.OLDEST_PYTHON} <= sys.version_info[:2] <= {machine.NEWEST_PYTHON}'
            in makefile
        )
        names = re.findall(r'python3\.(\d+)', makefile.partition('do ')[0])
        assert sorted(map(int, names)) == list(range(10, 15))

    @pytest.mark.parametrize(
        'name', ['dev/setup_env.py', 'dev/get_python.py', 'mmrsir/doctor/machine.py']
    )
    def test_an_old_python_can_read_the_refusal(self, name):
        source = (ROOT / name).read_text()
        ast.parse(source, feature_version=(3, 8))
        assert 'from __future__ import annotations' in source

    @pytest.mark.parametrize('version', ['2.6.1', '2.7.0', '2.11.0', '2.14.0+cpu', '3.0'])
    def test_torch_that_is_too_old_is_refused(self, version):
        problem = machine.torch_problem(version)
        assert version in problem if version == '2.6.1' else problem is None

    def test_torch_says_which_cpp_is_needed(self):
        assert [machine.cpp_standard(one) for one in ('2.9', '2.13.0+cu130')] == ['c++17'] * 2
        assert [machine.cpp_standard(one) for one in ('2.14.0', '2.15.0', '3.0')] == ['c++20'] * 3

    def test_missing_parts_of_python_are_named(self, monkeypatch, tmp_path):
        assert machine.python_parts_problem() is None
        monkeypatch.setattr(machine.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
        assert f'{tmp_path} has no Python.h' in machine.python_parts_problem()
        monkeypatch.setattr(machine.importlib.util, 'find_spec', lambda module: None)
        assert f'python{MINE}-venv' in machine.python_parts_problem()

    def test_a_missing_compiler_is_named(self, monkeypatch):
        monkeypatch.setenv('CXX', 'no-such-compiler')
        assert 'no-such-compiler' in machine.compiler_problem('2.11.0')

    def test_a_compiler_without_the_cpp_of_torch_is_quoted(self, monkeypatch, tmp_path):
        old = tmp_path / 'old-c++'
        old.write_text('#!/bin/sh\ntest $1 = -std=c++17 || { echo cannot $1 >&2; exit 1; }\n')
        old.chmod(0o755)
        monkeypatch.setenv('CXX', str(old))
        assert machine.compiler_problem('2.11.0') is None
        problem = machine.compiler_problem('2.14.0')
        assert 'gcc 11' in problem and 'cannot -std=c++20' in problem

    def test_all_problems_are_listed_at_once(self, monkeypatch, tmp_path):
        others(monkeypatch, free_gb=1, system='Windows')
        monkeypatch.setenv('CXX', 'no-such-compiler')
        monkeypatch.setattr(setup_env, 'REQUIREMENTS', tmp_path)
        (tmp_path / 'torch.txt').write_text('torch==2.6.1\n')
        text = '\n'.join(setup_env.all_problems(tmp_path / 'a folder' / '.venv'))
        for part in ('Windows', 'blank', 'C++ compiler', '2.6.1', '1.0 GB'):
            assert part in text

    def test_this_machine_has_none(self, monkeypatch, tmp_path):
        others(monkeypatch)
        assert setup_env.all_problems(tmp_path / '.venv') == []


class TestAnotherPython:
    @pytest.fixture(autouse=True)
    def cache(self, monkeypatch, tmp_path):
        monkeypatch.setenv('MMRSIR_CACHE', str(tmp_path))

    def uv(self, tmp_path, script):
        """A wheel of a uv that is a shell script."""
        with zipfile.ZipFile(tmp_path / 'uv-1-py3-none-any.whl', 'w') as wheel:
            wheel.writestr('uv-1.data/scripts/uv', f'#!/bin/sh\n{script}\n')
        return lambda folder: tmp_path / 'uv-1-py3-none-any.whl'

    def test_uv_gets_one_into_our_folder(self, monkeypatch, tmp_path):
        uv = self.uv(tmp_path, 'test $2 = find && echo $UV_PYTHON_INSTALL_DIR/bin/python || true')
        monkeypatch.setattr(get_python, 'download_uv', uv)
        assert get_python.get_python() == tmp_path / 'python/bin/python'
        monkeypatch.setattr(get_python, 'download_uv', lambda folder: pytest.fail('again'))
        assert get_python.get_python() == tmp_path / 'python/bin/python'

    @pytest.mark.parametrize('problem', ['python_problem', 'python_parts_problem'])
    def test_the_set_up_goes_on_with_it(self, monkeypatch, capsys, problem):
        monkeypatch.setattr(machine, problem, lambda *version: 'This one does not fit.')
        monkeypatch.setattr(get_python, 'get_python', lambda: Path('/new/python'))
        started = []
        monkeypatch.setattr(setup_env.os, 'execv', lambda *call: started.append(call))
        monkeypatch.setattr(setup_env.sys, 'argv', ['dev/setup_env.py'])
        setup_env.main()
        assert started == [('/new/python', ['/new/python', setup_env.__file__, '--fetched'])]
        assert 'This one does not fit. Getting Python 3.11 with uv' in capsys.readouterr().out
        monkeypatch.setattr(setup_env.sys, 'argv', started[0][1][1:])
        assert setup_env.main() == 1  # and does not get one again and again

    def test_without_a_network_it_says_what_to_install(self, monkeypatch, tmp_path, capsys):
        uv = self.uv(tmp_path, 'echo error: no network >&2; exit 2')
        monkeypatch.setattr(get_python, 'download_uv', uv)
        assert setup_env.go_on_with_another_python('Python 3.9 does not fit.') == 1
        out = capsys.readouterr().out
        assert 'error: no network' in out
        assert 'python3.11-venv and python3.11-dev' in out and 'PYTHON=python3.11' in out


class TestUv:
    def test_it_gets_the_settings_of_pip(self):
        listing = (
            ":env:.cert='/my.pem'\n"
            "global.cert='/theirs.pem'\n"
            "global.extra-index-url='https://one\\nhttps://two'\n"
            "global.find-links='/a /b'\n"
            "global.index-url='https://old'\n"
            "install.index-url='https://inside'\n"
            "list.format='columns'\n"
        )
        environment = uv_install.uv_environment(uv_install.pip_settings(listing))
        assert environment.items() - uv_install.LIKE_PIP.items() == {
            ('SSL_CERT_FILE', '/my.pem'),
            ('UV_DEFAULT_INDEX', 'https://inside'),
            ('UV_INDEX', 'https://one https://two'),
            ('UV_FIND_LINKS', '/a,/b'),
        }

    def test_this_pip_tells_its_settings_so(self, monkeypatch):
        monkeypatch.setenv('PIP_INDEX_URL', 'https://mine')
        pip = [sys.executable, '-m', 'pip', 'config', 'list']
        listing = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
        assert uv_install.pip_settings(listing)['index-url'] == 'https://mine'


class TestBuilding:
    @pytest.mark.parametrize(
        ('cores', 'gigabytes', 'jobs'), [(2, 24, 2), (2, 2, 1), (64, 6.1, 4), (8, 0.1, 1)]
    )
    def test_jobs_fit_into_cores_and_memory(self, monkeypatch, cores, gigabytes, jobs):
        monkeypatch.setattr(build_mmcv.os, 'sched_getaffinity', lambda pid: range(cores))
        monkeypatch.setattr(build_mmcv, 'available_memory', lambda: gigabytes * 1e9)
        assert build_mmcv.compile_jobs() == jobs

    @pytest.mark.parametrize('standard', ['c++17', 'c++20'])
    def test_the_source_asks_for_the_cpp_of_torch(self, monkeypatch, tmp_path, standard):
        sources = tmp_path / 'sources/onedl_mmcv-1'
        sources.mkdir(parents=True)
        (sources / 'setup.py').write_text("args = {'cxx': ['-std=c++17'], 'nvcc': ['-std=c++17']}")
        folder = str(tmp_path / 'onedl_mmcv-1')
        shutil.make_archive(folder, 'gztar', sources.parent, sources.name)
        monkeypatch.setattr(build_mmcv, 'pip', lambda *call: None)
        unpacked = build_mmcv.unpack_source('onedl-mmcv==1', tmp_path, standard)
        assert (unpacked / 'setup.py').read_text().count(f"'-std={standard}'") == 2

    def test_a_containers_memory_limit_counts(self, tmp_path):
        (tmp_path / 'memory.current').write_text('1000000\n')
        (tmp_path / 'memory.max').write_text('3000000\n')
        assert build_mmcv.available_memory(tmp_path) == 2000000
        (tmp_path / 'memory.max').write_text('max\n')
        assert build_mmcv.available_memory(tmp_path) > 2000000


class TestDisk:
    def test_a_cache_on_the_same_disk_needs_no_more_room(self, monkeypatch, tmp_path):
        others(monkeypatch, free_gb=1)
        (problem,) = setup_env.disk_problems(tmp_path / 'not' / 'yet' / 'there')
        assert f'1.0 GB are free for {tmp_path}; 8 GB' in problem

    def test_a_cache_on_another_disk_needs_room_there(self, monkeypatch, tmp_path):
        others(monkeypatch, free_gb=1)
        monkeypatch.setenv('UV_CACHE_DIR', '/proc/uv')
        problems = setup_env.disk_problems(tmp_path)
        assert [' 8 GB' in problems[0], '/proc; 7 GB' in problems[1]] == [True, True]

    def test_an_update_needs_less_than_a_first_set_up(self, monkeypatch, make_venv):
        others(monkeypatch, free_gb=setup_env.UPDATE_GB + 1)
        assert any('GB are free' in problem for problem in setup_env.all_problems(make_venv()))
        venv = make_venv('torch-2.11.0')
        assert not any('GB are free' in problem for problem in setup_env.all_problems(venv))


class TestRequirements:
    def lines(self, name):
        text = (ROOT / 'requirements' / name).read_text()
        return [line for line in text.splitlines() if line and not line.startswith('#')]

    def test_each_direct_requirement_is_compiled_to_an_exact_version(self):
        exact = [
            re.fullmatch(r'([\w.-]+)==[\w.]+( ; .+)?', line)
            for line in self.lines('constraints.txt')
        ]
        assert all(exact)  # neither addresses of an index nor hashes
        files = [line.removeprefix('-r ') for line in self.lines('all.in')]
        everything = {file.name for file in (ROOT / 'requirements').glob('*.txt')}
        assert {*files, 'constraints.txt'} == everything
        named = {re.match(r'[\w-]+', line)[0] for file in files for line in self.lines(file)}
        assert named <= {pin[1] for pin in exact}

    def test_both_opencv_packages_have_the_same_versions(self):
        opencv = [line for line in self.lines('constraints.txt') if line.startswith('opencv')]
        assert len(opencv) == 4
        assert len({line.replace('-headless', '') for line in opencv}) == 2

    def test_mmcv_that_is_built_is_the_one_of_the_versions(self):
        assert build_mmcv.mmcv_requirement() in self.lines('constraints.txt')


class TestWheelCache:
    def test_the_folder_tells_all_versions_apart(self, monkeypatch):
        versions = [
            ('2.11.0', None, '2.3.6'),
            ('2.10.0', None, '2.3.6'),
            ('2.11.0', 'cu130', '2.3.6'),
            ('2.11.0', None, '2.3.7'),
        ]
        folders = {build_mmcv.cache_folder(*each) for each in versions}
        monkeypatch.setattr(build_mmcv.sys, 'version_info', (3, 7, 0))
        folders.add(build_mmcv.cache_folder(*versions[0]))
        assert len(folders) == len(versions) + 1

    def test_the_cache_can_be_moved(self, monkeypatch, tmp_path):
        for name in ('MMRSIR_CACHE', 'XDG_CACHE_HOME'):
            monkeypatch.delenv(name, raising=False)
        assert get_python.cache() == Path.home() / '.cache' / 'mmrsir'
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
        assert get_python.cache() == tmp_path / 'mmrsir'
        monkeypatch.setenv('MMRSIR_CACHE', str(tmp_path))
        assert get_python.cache() == tmp_path

    def test_a_stored_wheel_is_complete(self, tmp_path):
        wheel = tmp_path / 'mmcv.whl'
        wheel.write_bytes(b'all of it')
        stored = build_mmcv.store(wheel, tmp_path / 'cache')
        assert stored.read_bytes() == b'all of it'
        assert list(stored.parent.iterdir()) == [stored]

    def test_an_interrupted_store_leaves_nothing(self, monkeypatch, tmp_path):
        def copy_half(source, folder):
            Path(folder, 'mmcv.whl').write_bytes(b'half of')
            raise KeyboardInterrupt

        monkeypatch.setattr(build_mmcv.shutil, 'copy', copy_half)
        with pytest.raises(KeyboardInterrupt):
            build_mmcv.store(tmp_path / 'mmcv.whl', tmp_path / 'cache')
        assert list((tmp_path / 'cache').iterdir()) == []

    @pytest.mark.parametrize('content', ['mmcv/__init__.py', 'mmcv/_ext.cpython-311.so'])
    def test_a_wheel_without_working_ops_is_not_used(self, tmp_path, content):
        with zipfile.ZipFile(tmp_path / 'mmcv.whl', 'w') as archive:
            archive.writestr(content, 'not a library')
        assert build_mmcv.cached_wheel(tmp_path) is None


class TestState:
    def test_a_changed_requirement_is_noticed(self, monkeypatch, tmp_path):
        monkeypatch.setattr(setup_env, 'REQUIREMENTS', tmp_path)
        before = setup_env.finished_state()
        (tmp_path / 'dev.txt').write_text('one-more\n')
        assert setup_env.finished_state() != before

    def test_a_finished_environment_is_left_alone(self, monkeypatch, make_venv, capsys):
        venv = make_venv()
        setup_env.write_state(venv, setup_env.finished_state())
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
        finished = setup_env.finished_state()
        assert (setup_env.read_state(venv) == finished) == succeeds
        assert not (venv / 'tmp').exists()

    def test_problems_stop_the_set_up(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(setup_env, 'all_problems', lambda venv: ['first', 'second'])
        assert setup_env.set_up(tmp_path / '.venv', lock=-1) == 1
        assert '- first\n  - second' in capsys.readouterr().out
        assert not (tmp_path / '.venv').exists()

    @pytest.mark.parametrize('state', [{'root': '/elsewhere'}, {}])
    def test_an_environment_for_another_python_or_place_is_kept(
        self, monkeypatch, make_venv, state
    ):
        others(monkeypatch)
        venv = make_venv()
        assert setup_env.all_problems(venv) == []
        setup_env.write_state(venv, state)
        if not state:
            monkeypatch.setattr(setup_env, 'python_of', lambda venv: '3.99')
        (problem,) = setup_env.all_problems(venv)
        assert 'remove or rename' in problem and state.get('root', '3.99') in problem

    @pytest.mark.parametrize('files', [('INSTALLER',), ('RECORD',)])
    def test_a_half_installed_package_is_forgotten(self, make_venv, files):
        venv = make_venv('whole-1.0')
        make_venv('half-1.0', files=files)
        (venv / 'tmp').mkdir()
        setup_env.clear_remains(venv)
        assert setup_env.installed('whole', venv) and not setup_env.installed('half', venv)
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
        step = setup_env.Step(
            'a step', 'no time', [['printf', 'noise\nnote: read this\nwarning  GPU\n']]
        )
        with open(os.devnull) as lock:
            setup_env.run_step(step, '1/1', log, lock.fileno())
        out = capsys.readouterr().out
        assert 'read this' in out and 'warning  GPU' in out and 'noise' not in out
