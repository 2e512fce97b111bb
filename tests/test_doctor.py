"""`python -m mmrsir.doctor` in made-up environments, each with one thing wrong, and in this one."""

import json
import re
import subprocess
import sys
import time
import venv

import pytest

from mmrsir.doctor import checks, examination, machine

from .helpers.fake_environment import ROOT, TORCH, healthy

GPU_USABLE = ('is_available=lambda: False', 'is_available=lambda: True')
SEGFAULT = 'import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n'
TORCH_FILE = 'install -r requirements/torch.txt'
BUILD = 'dev/build_mmcv.py'


@pytest.fixture(scope='module')
def bare_python(tmp_path_factory):
    """A Python without any packages."""
    folder = tmp_path_factory.mktemp('bare')
    venv.create(folder, symlinks=True)
    return folder / 'bin' / 'python'


@pytest.fixture
def environment(bare_python, tmp_path):
    return healthy(bare_python, tmp_path)


def test_only_the_fakes_themselves_are_found_wrong(environment):
    results = environment.examine()
    wrong = {name for name, check in results.items() if check['status'] != 'ok'}
    assert wrong == {'mmrsir', 'extras'}
    assert results.keys() == {check.name for check in checks.CHECKS}


CASES = []


def case(name, status, found, mending):
    """Makes a test of a function that breaks an environment, and of what the doctor says then."""

    def register(function):
        CASES.append(pytest.param(function, name, status, found, mending, id=function.__name__))
        return function

    return register


@case('torch', 'problem', 'not installed', TORCH_FILE)
def no_torch(environment):
    environment.remove('torch')


@case('torch', 'problem', '2.6.0.* is too old; 2.7', TORCH_FILE)
def old_torch(environment):
    environment.replace('torch/__init__.py', '2.11.0', '2.6.0')


@case('torch', 'problem', 'crashed .SIGSEGV', f'{TORCH_FILE} --force-reinstall')
def torch_that_crashes(environment):
    environment.write('torch/__init__.py', SEGFAULT)


@case('torchvision', 'warning', 'not installed; mmpretrain', 'install torchvision torch==2.11.0')
def no_torchvision(environment):
    environment.remove('torchvision-0.26.0.dist-info')


@case(
    'torchvision',
    'problem',
    '0.26.0 was built for torch 2.10.0',
    'install torchvision torch==2.11.0',
)
def torchvision_of_another_torch(environment):
    environment.package('torchvision', '0.26.0', 'torch ==2.10.0')


@case('GPU', 'warning', 'driver 580.1, .* without CUDA', f'{TORCH_FILE} --force-reinstall')
def torch_without_cuda(environment):
    environment.gpu()
    environment.replace('torch/__init__.py', "cuda='13.0'", 'cuda=None')


@case('GPU', 'warning', 'driver 580.1: RuntimeError: too old', 'install a newer NVIDIA driver')
def old_driver(environment):
    environment.gpu()
    environment.write('torch/__init__.py', f'{TORCH}zeros.side_effect = RuntimeError("too old")\n')


@case('GPU', 'problem', 'driver 580.1: RuntimeError: too old', 'a torch for this one')
def old_gpu(environment):
    old_driver(environment)
    environment.replace('torch/__init__.py', *GPU_USABLE)


@case('GPU', 'ok', r'A GPU, compute capability 9\.0, driver 580.1, torch for CUDA 13.0', '')
def new_gpu(environment):
    environment.gpu()
    environment.replace('torch/__init__.py', *GPU_USABLE)


@case('numpy', 'problem', 'not installed', 'install .* numpy')
def no_numpy(environment):
    environment.remove('numpy-2.2.6.dist-info')


@case(
    'numpy',
    'warning',
    '2.2.6, but the upstream versions of mmdet need numpy 1',
    "install 'numpy<2'",
)
def numpy_2_with_upstream(environment):
    environment.use_upstream('mmdet')


@case('setuptools', 'problem', '82.0 has no pkg_resources, .* mmengine', "install 'setuptools<82'")
def setuptools_without_pkg_resources(environment):
    environment.use_upstream('mmengine')
    environment.package('setuptools', '82.0')


@case('OpenCV', 'problem', 'not installed', 'uninstall .* opencv-python .*&& .*-headless')
def no_opencv(environment):
    environment.remove('cv2')


@case('OpenCV', 'problem', 'python 4.11.0.86 and .*headless 4.12.0.88 overwrite', '&& .*-headless$')
def two_versions_of_opencv(environment):
    environment.remove('opencv_python-4.12.0.88.dist-info')
    environment.package('opencv-python', '4.11.0.86')


@case('OpenCV', 'problem', 'ImportError: libGL.so.1', 'opencv-python && .* opencv-python-headless$')
def no_libgl(environment):
    environment.write('cv2/__init__.py', 'raise ImportError("libGL.so.1: cannot open")\n')


@case('mmengine', 'problem', 'not installed', 'install .* onedl-mmengine$')
def no_mmengine(environment):
    environment.uninstall('mmengine')


@case('mmengine', 'problem', "No module named 'rich'", 'install -c .* rich$')
def mmengine_without_what_it_needs(environment):
    environment.write('mmengine/__init__.py', 'import rich\n')


@case('mmcv', 'problem', 'onedl-mmcv 1.0 and mmcv 2.1.0', f'-y onedl-mmcv mmcv && .*{BUILD}')
def fork_and_upstream(environment):
    environment.package('mmcv', '2.1.0')


@case("mmcv's ops", 'problem', "'mmcv._ext'; mmdet and mmseg need", f'-y mmcv-lite && .*{BUILD}')
def mmcv_lite(environment):
    environment.remove('onedl_mmcv-1.0.dist-info')
    environment.package('mmcv-lite')
    environment.write('mmcv/ops.py', 'import mmcv._ext\n')


@case("mmcv's ops", 'warning', "'mmcv._ext'; .* would need", BUILD)
def no_ops_for_the_backbone_alone(environment):
    mmcv_lite(environment)
    environment.uninstall('mmdet')
    environment.uninstall('mmseg')


@case("mmcv's ops", 'problem', 'undefined symbol: _ZN', f'-y onedl-mmcv && .*{BUILD}')
def ops_of_another_torch(environment):
    environment.write('mmcv/ops.py', 'raise ImportError("_ext.so: undefined symbol: _ZN3c10")\n')


@case("mmcv's ops", 'problem', 'SIGSEGV.; mmdet', f'-y onedl-mmcv && .*{BUILD}')
def ops_that_crash(environment):
    environment.write('mmcv/ops.py', SEGFAULT)


@case("mmcv's ops", 'warning', 'the CPU only: RuntimeError: not on cuda', BUILD)
def ops_without_cuda(environment):
    environment.replace('torch/__init__.py', *GPU_USABLE)
    ops = 'def nms(box, *rest):\n    if box.device == "cuda": raise RuntimeError("not on cuda")\n'
    environment.write('mmcv/ops.py', ops)


@case('mmdet', 'warning', 'not installed', 'install .* onedl-mmdetection$')
def no_mmdet(environment):
    environment.uninstall('mmdet')


@case('mmdet', 'problem', 'mmdet 1.0: .*mmcv<2.2.0', '-y mmdet && .*install .*onedl-mmdetection$')
def upstream_that_refuses_the_forks_mmcv(environment):
    environment.use_upstream('mmdet')
    environment.write('mmdet/__init__.py', 'assert False, "Please install mmcv<2.2.0"\n')


@case('mmseg', 'problem', "No module named 'imaug'", 'install -c .* imaug$')
def library_without_what_it_needs(environment):
    environment.write('mmseg/utils.py', 'import imaug\n')


@case('mmpretrain', 'problem', 'exited with 3 last words', 'install .*onedl-mmpretrain$')
def library_that_exits(environment):
    environment.write(
        'mmpretrain/utils.py', 'import os\nprint("last words", flush=True)\nos._exit(3)\n'
    )


@case('extras', 'warning', 'sklearn, tensorboard, timm', 'scikit-learn tensorboard timm$')
def no_extras(environment):
    pass


@pytest.mark.parametrize(('break_it', 'name', 'status', 'found', 'mending'), CASES)
def test_what_is_wrong_is_named_and_mended(environment, break_it, name, status, found, mending):
    break_it(environment)
    check = environment.examine()[name]
    assert check['status'] == status
    assert re.search(found, check['found'])
    assert re.search(mending, check['mending'])


def test_upstream_is_replaced_as_a_whole(environment):
    environment.use_upstream('mmdet', 'mmpretrain')
    environment.write('mmdet/utils.py', SEGFAULT)
    mending = environment.examine()['mmdet']['mending']
    assert 'uninstall -y mmdet mmpretrain &&' in mending
    assert mending.endswith('onedl-mmdetection onedl-mmpretrain')


def test_only_what_needs_a_broken_part_is_left_out(environment):
    ops_that_crash(environment)
    results = environment.examine()
    assert {check.name for check in checks.CHECKS} - results.keys() == {'mmdet', 'mmseg'}
    assert results['mmpretrain']['status'] == 'ok'


def test_the_text_tells_the_same_and_what_to_do_next(environment):
    no_torch(environment)
    done = environment.run()
    assert done.returncode == 1
    assert re.search(rf'^problem +torch +not installed\n +fix: .*{TORCH_FILE}$', done.stdout, re.M)
    assert re.search('^Not checked, .*: torchvision, GPU, mmcv, ', done.stdout, re.M)
    assert f'Run the fixes in {ROOT}' in done.stdout


def test_a_mending_is_written_out_once(environment):
    environment.use_upstream('mmdet', 'mmseg')
    for name in ('mmdet', 'mmseg'):
        environment.write(f'{name}/utils.py', SEGFAULT)
    assert re.search(
        '^problem +mmseg .*\n +fix: +the same as for mmdet$', environment.run().stdout, re.M
    )


def test_a_check_that_hangs_is_ended(monkeypatch):
    hangs = checks.Check('hangs', lambda: time.sleep(60))
    works = checks.Check('works', lambda: checks.ok('it runs'))
    monkeypatch.setattr(examination, 'CHECKS', (hangs, works))
    monkeypatch.setattr(examination, 'SECONDS', 1)
    assert dict(examination.examine()) == {
        'hangs': checks.problem('did not end within 1 seconds', 'make setup'),
        'works': checks.ok('it runs'),
    }


@pytest.mark.parametrize(
    ('known', 'status', 'said', 'mending'),
    [
        ((True, True, []), 'ok', 'runs on cuda with its own kernel', '^$'),
        ((False, False, []), 'warning', 'Triton is not installed', 'install triton'),
        ((True, False, ['Triton fails']), 'warning', 'Triton fails', 'packages gcc'),
        ((True, False, []), 'ok', 'kernel does not support this GPU', '^$'),
    ],
)
def test_where_the_kernel_runs_is_said(known, status, said, mending):
    result = checks.judge_kernel(*known)
    assert result.status == status
    assert re.search(said, result.found)
    assert re.search(mending, result.mending)


def test_a_newer_python_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, 'NEWEST_PYTHON', (3, 9))
    result = checks.check_python()
    assert (result.status, result.mending) == ('warning', 'make setup')


def test_a_compiler_that_is_missing_is_told_before_ops_are_built(environment, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    ops_of_another_torch(environment)
    assert 'no-such-compiler' in environment.examine()["mmcv's ops"]['found']


def test_the_oldest_torch_is_that_of_the_package():
    oldest = '.'.join(map(str, checks.OLDEST_TORCH))
    assert f'"torch>={oldest}"' in (ROOT / 'pyproject.toml').read_text()


@pytest.mark.slow
def test_this_environment_is_healthy():
    command = [sys.executable, '-m', 'mmrsir.doctor', '--json']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    results = {check['name']: check for check in json.loads(done.stdout)}
    assert done.returncode == 0
    assert results.keys() == {check.name for check in checks.CHECKS}
    assert not [check for check in results.values() if check['status'] == 'problem']
