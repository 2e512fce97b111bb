"""A training leaves a report and pictures of predictions, and never ends because of them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmrsir.engine import launch
from mmrsir.engine.config_check import check_settings
from mmrsir.engine.hooks import prediction_pictures, run_report
from mmrsir.engine.hooks.run_report import REPORT, git_state
from mmrsir.visualization.curves import LABELS
from mmrsir.visualization.report import render_report

from ..helpers.commands import METRIC, ROOT
from ..helpers.resumed_trainings import CONFIGS, load_config


class Stop(Hook):
    """Ends a training after its first validation."""

    def after_val(self, runner):
        raise KeyboardInterrupt


def train(scope, data, work_dir, *hooks):
    settings = load_config(scope, data, work_dir).to_dict()
    filename = str(ROOT / CONFIGS[scope])  # which making it small left out
    cfg = Config(settings, filename=filename, format_python_code=False)
    runner = launch.build_runner(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def events(work_dir):
    (path,) = work_dir.glob('*/vis_data/events.*')
    accumulator = EventAccumulator(str(path))
    accumulator.Reload()
    return accumulator.Tags()


@pytest.fixture(
    scope='module', params=['mmdet', pytest.param('mmseg', marks=pytest.mark.slow), 'mmpretrain']
)
def trained(request, data, tmp_path_factory):
    """A finished training: scope, runner."""
    work_dir = tmp_path_factory.mktemp(request.param) / 'run'
    return request.param, train(request.param, data, work_dir)


def test_report_has_results_and_all_pictures_in_it(trained):
    scope, runner = trained
    page = Path(runner.work_dir, REPORT).read_text()
    assert 'finished after 4 iterations' in page
    assert '<td>iter_4.pth</td>' in page
    assert LABELS[METRIC[scope]] in page
    sources = re.findall(r'src="([^"]{12})', page)
    assert len(sources) == 2  # the curves, and a prediction of the only batch
    assert set(sources) == {'data:image/p', 'data:image/j'}
    assert not re.search(r'<(script|link)|href=', page)


def test_report_tells_what_repeats_the_training(trained):
    scope, runner = trained
    page = Path(runner.work_dir, REPORT).read_text()
    for told in (
        CONFIGS[scope],
        f'<tr><th>seed</th><td><pre>{runner.seed}</pre>',
        'PyTorch',
        'RSIRTransformer',  # the whole config
    ):
        assert told in page
    assert re.search(r'<th>commit</th><td><pre>([0-9a-f]{40} |none: )', page)


def test_tensorboard_shows_losses_metrics_and_predictions(trained):
    scope, runner = trained
    tags = events(Path(runner.work_dir))
    assert {'loss', METRIC[scope]} <= set(tags['scalars'])
    assert len(tags['images']) == 1


@pytest.mark.slow
def test_interrupted_training_has_a_report_and_its_resumption_reports_both_starts(data, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train('mmpretrain', data, tmp_path / 'run', Stop())
    report = tmp_path / 'run' / REPORT
    page = report.read_text()
    assert 'validated after 2 of 4 iterations' in page and LABELS['accuracy/top1'] in page
    (folder,) = (path.parents[1] for path in (tmp_path / 'run').glob('*/vis_data/scalars.json'))
    folder.rename(folder.with_name('20260101_000000'))  # or both may be of the same second
    cfg = load_config('mmpretrain', data, tmp_path / 'run')
    cfg.visualizer.name = cfg.experiment_name = str(tmp_path)  # or the first one's would be taken
    launch.enable_resume(cfg, 'auto')
    launch.build_runner(cfg).train()
    assert re.findall(r'(\d+) to (\d+)</td>', report.read_text()) == [('1', '2'), ('3', '4')]


def test_errors_in_reports_and_pictures_do_not_end_a_training(data, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError('no space left')

    monkeypatch.setattr(run_report, 'render_report', fail)
    monkeypatch.setattr(prediction_pictures, 'draw_sample', fail)
    assert train('mmpretrain', data, tmp_path / 'run').iter == 4
    (log,) = (tmp_path / 'run').glob('*/*.log')
    for message in ('report.html could not be written', 'a prediction could not be drawn'):
        assert f'{message}; the training continues' in log.read_text()
    assert not (tmp_path / 'run' / REPORT).exists()


def test_what_comes_from_outside_is_escaped(trained, tmp_path):
    _, runner = trained
    page = render_report(
        Path(runner.work_dir),
        state='<b>state',
        facts={'Command': {'command': '</pre><script>alert(1)</script>'}},
        config=tmp_path / 'none',
        unit='epoch',
        checkpoints={'last': 'a/<i>.pth'},
    )
    assert '<script' not in page and '<b>' not in page and '<i>' not in page


@pytest.mark.parametrize(
    ('files', 'checkpoints', 'shown'),
    [
        (['epoch_2.pth'], {}, 'epoch_2.pth'),
        ([], {}, 'none of epoch 2: default_hooks.checkpoint.save_best=auto keeps it'),
        ([], {'best': '/a/best_mIoU_epoch_2.pth'}, 'best_mIoU_epoch_2.pth'),
    ],
)
def test_best_checkpoint_is_named_with_its_metric(tmp_path, files, checkpoints, shown):
    lines = [{'loss': 1.0, 'iter': 10}]
    lines += [{'mIoU': value, 'step': epoch} for epoch, value in ((1, 30.5), (2, 50.5), (3, 40.5))]
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(json.dumps(line) for line in lines))
    for name in files:
        (tmp_path / name).touch()
    page = render_report(
        tmp_path,
        state='',
        facts={},
        config=tmp_path / 'none',
        unit='epoch',
        checkpoints={**checkpoints, 'last': '/a/epoch_3.pth'},
    )
    rows = re.findall(r'<td>[^<]*</td><td>(.+?)</td><td class="number">(.*?)</td>', page)
    assert rows == [(shown, '50.5'), ('epoch_3.pth', '40.5')]


@pytest.mark.parametrize('scope', CONFIGS)
@pytest.mark.parametrize('backend', ['WandbVisBackend', 'MLflowVisBackend'])
def test_other_trackers_are_one_setting(scope, backend):
    option = f'visualizer.vis_backends.1.type={backend}'
    arguments = [str(ROOT / CONFIGS[scope]), '--cfg-options', option]
    cfg = launch.load_config(launch.argument_parser('').parse_args(arguments))
    check_settings(cfg, splits=())
    assert [one.type for one in cfg.visualizer.vis_backends] == ['LocalVisBackend', backend]


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ('-c', 'user.name=a', '-c', 'user.email=a@example.com')
        subprocess.run(['git', *identity, *arguments], cwd=tmp_path, check=True)

    git('init', '--quiet', '--initial-branch', 'trunk')
    (tmp_path / 'config.py').write_text('a = 1\n')
    git('add', '.')
    git('commit', '--quiet', '--message', 'first')
    return tmp_path


def test_git_state_tells_commit_and_branch(repository):
    state = git_state(repository)
    assert re.fullmatch(r'[0-9a-f]{40} without changes', state['commit'])
    assert (state['branch'], state['changes']) == ('trunk', 'none')


def test_git_state_names_what_changed(repository):
    (repository / 'config.py').write_text('a = 2\n')
    (repository / 'new.py').write_text('')
    state = git_state(repository)
    assert state['commit'].endswith(' with changes')
    assert state['changes'] == ' M config.py\n?? new.py'


def test_folder_without_a_repository_is_said_to_have_none(repository):
    shutil.rmtree(repository / '.git')
    assert 'unknown: git tells none for' in git_state(repository)['commit']


def test_training_that_logs_nothing_leaves_one_line_and_no_report(tmp_path):
    hook, logger = run_report.RunReportHook(), Mock()
    hook._facts = {}
    hook.after_train(SimpleNamespace(work_dir=str(tmp_path), iter=2, logger=logger))
    (said,) = (call.args[0] for call in logger.method_calls)
    assert 'shorter than default_hooks.logger.interval' in said
    assert not (tmp_path / REPORT).exists()
