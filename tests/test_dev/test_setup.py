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
import pytest
import run_uv
import setup_env

from ..helpers.commands import ROOT

machine = setup_env.machine
MINE = '{}.{}'.format(*sys.version_info)


@pytest.fixture
def venv(monkeypatch, tmp_path):
    """The outline of an environment, of which the set-up thinks as its own; its Python is ours."""
    folder = tmp_path / '.venv'
    (folder / 'bin').mkdir(parents=True)
    (folder / 'bin/python').symlink_to(sys.executable)
    monkeypatch.setattr(setup_env, 'VENV', folder)
    monkeypatch.setattr(setup_env, 'make_steps', lambda python: {'a step': ['true']})
    monkeypatch.setattr(setup_env.shutil, 'disk_usage', lambda path: SimpleNamespace(free=1e11))
    return folder


def add_package(venv, name, *files):
    info = venv / f'lib/python3.11/site-packages/{name}.dist-info'
    info.mkdir(parents=True)
    for file in files:
        (info / file).touch()
    return info


def set_up(capsys):
    with open(os.devnull) as lock:
        status = setup_env.set_up(lock.fileno())
    return status, capsys.readouterr().out


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
        limits = f'{machine.OLDEST_PYTHON} <= sys.version_info[:2] <= {machine.NEWEST_PYTHON}'
        assert limits in makefile
        names = re.findall(r'python3\.(\d+)', makefile.partition('do ')[0])
        assert sorted(map(int, names)) == list(range(10, 15))

    @pytest.mark.parametrize(
        'name', ['dev/setup_env.py', 'dev/run_uv.py', 'mmrsir/doctor/machine.py']
    )
    def test_an_old_python_can_read_the_refusal(self, name):
        source = (ROOT / name).read_text()
        ast.parse(source, feature_version=(3, 8))
        assert 'from __future__ import annotations' in source

    def test_torch_says_which_cpp_is_needed(self):
        assert [machine.cpp_standard(one) for one in ('2.9', '2.13.0+cu130')] == ['c++17'] * 2
        assert [machine.cpp_standard(one) for one in ('2.14.0', '2.15.0', '3.0')] == ['c++20'] * 3

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

    def test_what_stops_the_set_up_is_listed_at_once(self, monkeypatch, capsys, tmp_path):
        monkeypatch.setenv('CXX', 'no-such-compiler')
        monkeypatch.setattr(setup_env, 'VENV', tmp_path / 'a folder' / '.venv')
        monkeypatch.setattr(setup_env.shutil, 'disk_usage', lambda path: SimpleNamespace(free=1e9))
        status, out = set_up(capsys)
        assert status == 1 and not setup_env.VENV.parent.exists()
        for part in ('blank', 'C++ compiler', '1.0 GB'):
            assert part in out

    def test_an_update_needs_no_room_for_torch(self, monkeypatch, venv):
        assert setup_env.obstacles() == []
        monkeypatch.setattr(setup_env.shutil, 'disk_usage', lambda path: SimpleNamespace(free=1e9))
        assert '8 GB' in setup_env.obstacles()[0]
        add_package(venv, 'torch-2.11.0')
        assert setup_env.obstacles() == []

    def test_windows_is_refused(self, monkeypatch, capsys):
        monkeypatch.setattr(setup_env.platform, 'system', lambda: 'Windows')
        assert setup_env.main() == 1
        assert 'WSL 2' in capsys.readouterr().out


class TestAnotherPython:
    @pytest.mark.parametrize('problem', ['python_problem', 'headers_problem'])
    def test_uv_gets_one(self, monkeypatch, capsys, venv, problem):
        (venv / 'bin/python').unlink()
        monkeypatch.setattr(machine, problem, lambda: 'This one does not fit.')
        monkeypatch.setattr(setup_env, 'make_steps', lambda python: {'a step': [f'echo {python}']})
        status, out = set_up(capsys)
        assert status == 0 and 'This one does not fit. Getting Python 3.11 with uv' in out
        assert '--managed-python --python 3.11' in (venv / 'setup.log').read_text()

    def test_without_a_network_it_says_what_to_install(self, monkeypatch, capsys, venv):
        monkeypatch.setattr(machine, 'python_problem', lambda: 'This one does not fit.')
        script = 'echo error: no network >&2; exit 2'
        monkeypatch.setattr(setup_env, 'make_steps', lambda python: {'a step': [script]})
        monkeypatch.setattr(setup_env, 'python_of_venv', lambda: None)
        status, out = set_up(capsys)
        assert status == 1 and 'error: no network' in out
        assert 'package\npython3.11-dev' in out and 'PYTHON=python3.11' in out

    def test_missing_headers_are_named(self, monkeypatch, tmp_path):
        assert machine.headers_problem() is None
        monkeypatch.setattr(machine.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
        assert f'{tmp_path} has no Python.h' in machine.headers_problem()
        assert f'python{MINE}-dev' in machine.headers_problem()


class TestUv:
    @pytest.fixture
    def cache(self, monkeypatch, tmp_path):
        monkeypatch.setenv('MMRSIR_CACHE', str(tmp_path))
        return tmp_path

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
        assert run_uv.uv_settings(listing) == dict(
            SSL_CERT_FILE='/my.pem',
            UV_DEFAULT_INDEX='https://inside',
            UV_INDEX='https://one https://two',
            UV_FIND_LINKS='/a,/b',
        )

    def test_this_pip_tells_its_settings_so(self, monkeypatch):
        monkeypatch.setenv('PIP_INDEX_URL', 'https://mine')
        settings = run_uv.uv_settings(run_uv.pip('config', 'list'))
        assert settings['UV_DEFAULT_INDEX'] == 'https://mine'

    def test_the_pinned_one_is_installed_once(self, monkeypatch, cache):
        calls = []

        def pip(*arguments):
            calls.append(arguments)
            Path(arguments[-2], 'bin').mkdir(parents=True)

        monkeypatch.setattr(run_uv, 'pip', pip)
        first, second = run_uv.get_uv(), run_uv.get_uv()
        ((*_, pin),) = calls
        assert pin in (ROOT / 'requirements/constraints.txt').read_text().splitlines()
        assert first == second == f'{cache}/{pin}/bin/uv'

    def test_an_interrupted_installation_is_not_used(self, monkeypatch, cache):
        def pip(*arguments):
            Path(arguments[-2], 'bin').mkdir(parents=True)
            raise KeyboardInterrupt

        monkeypatch.setattr(run_uv, 'pip', pip)
        with pytest.raises(KeyboardInterrupt):
            run_uv.get_uv()
        assert list(cache.iterdir()) == []

    @pytest.fixture
    def wheels(self, monkeypatch, tmp_path):
        """Where ensurepip has the wheel of pip, for a Python without pip."""
        folder = tmp_path / 'ensurepip/_bundled'
        folder.mkdir(parents=True)
        spec = SimpleNamespace(submodule_search_locations=[str(folder.parent)])
        monkeypatch.setattr(run_uv, 'find_spec', dict(ensurepip=spec).get)
        return folder

    def test_a_python_without_pip_takes_that_of_ensurepip(self, wheels):
        with zipfile.ZipFile(wheels / 'pip-1.0-py3-none-any.whl', 'w') as archive:
            archive.writestr('pip/__main__.py', 'import sys; print(sys.argv[1:])')
        assert run_uv.pip('config', 'list') == "['config', 'list']\n"

    def test_a_python_without_any_pip_says_what_to_install(self, wheels):
        with pytest.raises(OSError, match='has no pip: install the package python3-pip'):
            run_uv.pip('config', 'list')

    def test_the_cache_can_be_moved(self, monkeypatch, tmp_path):
        for name in ('MMRSIR_CACHE', 'XDG_CACHE_HOME'):
            monkeypatch.delenv(name, raising=False)
        assert run_uv.cache() == Path.home() / '.cache' / 'mmrsir'
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
        assert run_uv.cache() == tmp_path / 'mmrsir'
        monkeypatch.setenv('MMRSIR_CACHE', str(tmp_path))
        assert run_uv.cache() == tmp_path


class TestBuilding:
    @pytest.mark.parametrize(
        ('cores', 'gigabytes', 'jobs'), [(2, 24, 2), (2, 2, 1), (64, 6.1, 4), (8, 0.1, 1)]
    )
    @pytest.mark.parametrize('container', [True, False])
    def test_jobs_fit_into_cores_and_memory(
        self, monkeypatch, tmp_path, cores, gigabytes, jobs, container
    ):
        free = 99e9 if container else gigabytes * 1e9
        monkeypatch.setattr('psutil.virtual_memory', lambda: SimpleNamespace(available=free))
        monkeypatch.setattr(build_mmcv.os, 'sched_getaffinity', lambda pid: range(cores))
        limit = f'{1e9 + gigabytes * 1e9:.0f}' if container else 'max'
        (tmp_path / 'memory.current').write_text('1000000000\n')
        (tmp_path / 'memory.max').write_text(f'{limit}\n')
        assert build_mmcv.compile_jobs(tmp_path) == jobs

    @pytest.mark.parametrize('standard', ['c++17', 'c++20'])
    def test_the_source_asks_for_the_cpp_of_torch(self, tmp_path, standard):
        sources = tmp_path / 'sources/onedl_mmcv-1'
        sources.mkdir(parents=True)
        (sources / 'setup.py').write_text("args = {'cxx': ['-std=c++17'], 'nvcc': ['-std=c++17']}")
        folder = str(tmp_path / 'onedl_mmcv-1')
        shutil.make_archive(folder, 'gztar', sources.parent, sources.name)
        unpacked = build_mmcv.unpack_source(tmp_path, standard)
        assert (unpacked / 'setup.py').read_text().count(f"'-std={standard}'") == 2

    def test_a_gpu_without_nvcc_gets_ops_for_the_cpu(self, monkeypatch, capsys):
        calls = []

        def find_or_make_wheel(with_cuda):
            if with_cuda:
                raise subprocess.CalledProcessError(1, 'nvcc')
            return 'for the CPU'

        monkeypatch.setenv('FORCE_CUDA', '1')
        monkeypatch.setattr(build_mmcv, 'find_or_make_wheel', find_or_make_wheel)
        monkeypatch.setattr(build_mmcv, 'pip', lambda *call: calls.append(call))
        build_mmcv.main()
        assert calls == [('install', '--force-reinstall', 'for the CPU')]
        assert re.match('note: .* will work on the CPU only', capsys.readouterr().out)


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
        assert build_mmcv.MMCV in self.lines('constraints.txt')


class TestWheelCache:
    def test_the_folder_tells_all_versions_apart(self, monkeypatch):
        versions = [('2.11.0', 'cpu'), ('2.10.0', 'cpu'), ('2.11.0', 'cu130')]
        folders = {build_mmcv.cache_folder(*each) for each in versions}
        monkeypatch.setattr(build_mmcv, 'MMCV', 'onedl-mmcv==2.3.7')
        folders.add(build_mmcv.cache_folder(*versions[0]))
        monkeypatch.setattr(build_mmcv.sys, 'version_info', (3, 7, 0))
        folders.add(build_mmcv.cache_folder(*versions[0]))
        assert len(folders) == len(versions) + 2

    def test_a_stored_wheel_is_complete(self, tmp_path):
        wheel = tmp_path / 'mmcv.whl'
        wheel.write_bytes(b'all of it')
        stored = build_mmcv.store(wheel, tmp_path / 'cache')
        assert stored.read_bytes() == b'all of it'
        assert list(stored.parent.iterdir()) == [stored]

    def test_an_interrupted_store_leaves_no_wheel(self, monkeypatch, tmp_path):
        def copy_half(source, target):
            target.write_bytes(b'half of')
            raise KeyboardInterrupt

        monkeypatch.setattr(build_mmcv.shutil, 'copy', copy_half)
        with pytest.raises(KeyboardInterrupt):
            build_mmcv.store(tmp_path / 'mmcv.whl', tmp_path / 'cache')
        assert list((tmp_path / 'cache').glob('*.whl')) == []

    @pytest.mark.parametrize('content', ['mmcv/__init__.py', 'mmcv/_ext.cpython-311.so'])
    def test_a_wheel_without_working_ops_is_not_used(self, tmp_path, content):
        with zipfile.ZipFile(tmp_path / 'mmcv.whl', 'w') as archive:
            archive.writestr(content, 'not a library')
        assert build_mmcv.working_wheel(tmp_path) is None


class TestState:
    def test_a_finished_environment_is_left_alone(self, monkeypatch, capsys, venv):
        assert set_up(capsys)[0] == 0
        monkeypatch.setattr(setup_env, 'obstacles', lambda: pytest.fail('looked further'))
        assert set_up(capsys) == (0, '.venv is set up.\n')

    def test_a_changed_requirement_is_noticed(self, monkeypatch, capsys, tmp_path, venv):
        monkeypatch.setattr(setup_env, 'REQUIREMENTS', tmp_path)
        (tmp_path / 'torch.txt').write_text('torch==2.11.0\n')
        set_up(capsys)
        (tmp_path / 'torch.txt').write_text('torch==2.11.1\n')
        assert 'a step' in set_up(capsys)[1]

    def test_only_a_complete_run_counts_as_finished(self, monkeypatch, capsys, venv):
        steps = {'a step': ['false', 'true']}
        monkeypatch.setattr(setup_env, 'make_steps', lambda python: steps)
        assert set_up(capsys)[0] == set_up(capsys)[0] == 1
        steps['a step'].remove('false')
        assert set_up(capsys)[0] == 0
        assert not (venv / 'tmp').exists()

    @pytest.mark.parametrize('attribute', ['ROOT', 'python_of_venv'])
    def test_an_environment_for_another_python_or_place_is_kept(
        self, monkeypatch, capsys, tmp_path, venv, attribute
    ):
        set_up(capsys)
        monkeypatch.setattr(setup_env, 'ROOT', tmp_path if attribute == 'ROOT' else ROOT)
        if attribute == 'python_of_venv':
            monkeypatch.setattr(setup_env, 'python_of_venv', lambda: '3.99')
        status, out = set_up(capsys)
        assert status == 1 and 'remove or rename' in out
        assert ('3.99' if attribute == 'python_of_venv' else str(tmp_path)) in out

    @pytest.mark.parametrize('file', ['INSTALLER', 'RECORD'])
    def test_a_half_installed_package_is_forgotten(self, capsys, venv, file):
        whole = add_package(venv, 'whole-1.0', 'INSTALLER', 'RECORD')
        half = add_package(venv, 'half-1.0', file)
        set_up(capsys)
        assert whole.exists() and not half.exists()

    def test_an_environment_without_a_working_python_is_made_anew(self, capsys, venv):
        package = add_package(venv, 'whole-1.0', 'INSTALLER', 'RECORD')
        (venv / 'bin/python').unlink()
        (venv / 'bin/python').symlink_to('/no/such/python')
        assert 'making it anew' in set_up(capsys)[1]
        assert not package.exists()


class TestRunning:
    @pytest.fixture
    def run(self, venv):
        def run_step(*commands):
            (venv / 'setup.log').touch()
            with open(os.devnull) as lock:
                return setup_env.run_step('a step', [*commands], venv / 'setup.log', lock.fileno())

        return run_step

    def test_a_failure_shows_the_end_of_the_log(self, monkeypatch, capsys, venv):
        steps = {'a step': ['yes noise | head -n 100', 'echo No space left on device', 'false']}
        monkeypatch.setattr(setup_env, 'make_steps', lambda python: steps)
        status, out = set_up(capsys)
        assert status == 1 and 0 < out.count('noise') < 25 and 'No space left' in out
        assert str(venv / 'setup.log') in out and 'the same command resumes' in out

    def test_an_interrupt_ends_what_the_command_started(self, monkeypatch, venv, run):
        def interrupt(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(setup_env, 'SECONDS_BETWEEN_LINES', 0.5)
        monkeypatch.setattr(setup_env, 'log_tail', interrupt)
        with pytest.raises(KeyboardInterrupt):
            run('set +x; sleep 60 & echo $!; wait')
        number = (venv / 'setup.log').read_text().split()[-1]
        grandchild = Path('/proc', number, 'stat')
        deadline = time.monotonic() + 5
        while grandchild.exists() and grandchild.read_text().split()[2] != 'Z':
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def test_progress_counts_compiled_files(self, monkeypatch, capsys, run):
        monkeypatch.setattr(setup_env, 'SECONDS_BETWEEN_LINES', 0.1)
        run('set +x; echo "[3/78] c++ a.cpp"; echo "[4/78] c++ b.cpp"; sleep 1')
        assert '0:00  4 of 78 files compiled' in capsys.readouterr().out

    def test_notes_reach_the_user(self, capsys, run):
        assert run('printf "noise\nnote: read this\nwarning  GPU\n"')
        out = capsys.readouterr().out
        assert 'read this' in out and 'warning  GPU' in out and 'noise' not in out
