"""Curves of runs."""

import json

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mmrsir.visualization.curves import log_files, plot_runs, read_log

from ..helpers.commands import run_here

LINES = [
    {'loss': 3.0, 'lr': 0.1, 'time': 0.5, 'epoch': 1, 'iter': 10, 'step': 10},
    {'loss': 2.0, 'lr': 0.1, 'time': 0.5, 'epoch': 1, 'iter': 20, 'step': 20},
    {'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_s': 0.2, 'time': 0.1, 'step': 1},
    {'loss': 1.0, 'lr': 0.05, 'time': 0.5, 'epoch': 2, 'iter': 30, 'step': 30},
    {'coco/bbox_mAP': 0.6, 'coco/bbox_mAP_s': 0.3, 'time': 0.1, 'step': 2},
]
RESUMED = [
    {'loss': 1.5, 'lr': 0.05, 'time': 0.5, 'epoch': 2, 'iter': 30, 'step': 30},
    {'coco/bbox_mAP': 0.7, 'coco/bbox_mAP_s': 0.4, 'time': 0.1, 'step': 2},
    {'loss': 0.5, 'lr': 0.01, 'time': 0.5, 'epoch': 3, 'iter': 40, 'step': 40},
]


def write_log(work_dir, start, lines):
    path = work_dir / start / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(json.dumps(line) for line in lines))
    return path


@pytest.fixture
def run(tmp_path):
    """The work folder of a training that was killed after 30 iterations and resumed from 20."""
    write_log(tmp_path / 'run', '20260101_000000', LINES)
    write_log(tmp_path / 'run', '20260102_000000', RESUMED)
    return tmp_path / 'run'


@pytest.fixture
def panels(monkeypatch):
    """The panels of the picture that is drawn: label of the axis and curves by name."""
    drawn = []

    def keep(figure, *args, **kwargs):
        for axes in figure.axes:
            lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
            drawn.append((axes.get_ylabel(), lines))

    monkeypatch.setattr(Figure, 'savefig', keep)
    return drawn


def curves_of(run):
    return read_log(log_files(run)).curves()


def test_validation_points_stand_at_their_training_iteration(run):
    curves = curves_of(log_files(run)[0])
    assert curves['loss'] == ([10, 20, 30], [3.0, 2.0, 1.0])
    assert curves['coco/bbox_mAP'] == ([20, 30], [0.5, 0.6])


def test_resumed_training_replaces_what_it_did_again(run):
    curves = curves_of(run)
    assert curves['loss'] == ([10, 20, 30, 40], [3.0, 2.0, 1.5, 0.5])
    assert curves['coco/bbox_mAP'] == ([20, 30], [0.5, 0.7])


def test_training_that_began_anew_replaces_the_one_before(run):
    write_log(run, '20260103_000000', LINES[:1])
    assert curves_of(run)['loss'] == ([10], [3.0])
    assert not read_log(log_files(run)).validations


def test_line_that_a_kill_cut_off_is_left_out(run):
    (path, *_) = log_files(run)
    path.write_text(path.read_text()[:-20])
    assert curves_of(path)['coco/bbox_mAP'] == ([20], [0.5])


def test_times_of_a_validation_are_no_metrics(run):
    for validation in read_log(log_files(run)).validations:
        assert set(validation.metrics) == {'coco/bbox_mAP', 'coco/bbox_mAP_s'}


def test_loss_of_the_validation_is_not_mixed_with_that_of_the_training(tmp_path):
    path = write_log(tmp_path, '20260101_000000', [LINES[0], {'loss': 9.0, 'step': 1}])
    assert curves_of(path)['loss'] == ([10], [3.0])


def test_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='neither a scalars.json nor the work folder'):
        log_files(tmp_path)


def test_metrics_of_one_run_share_a_panel(run, panels, tmp_path):
    plot_runs(
        {'': run}, tmp_path / 'curves.png', 'a run', ['loss', 'coco/bbox_mAP', 'coco/bbox_mAP_s']
    )
    assert [label for label, _ in panels] == ['training loss', 'on held-out images']
    _, (_, metrics) = panels
    assert metrics == {
        'box AP: 0.7': [[20.0, 0.5], [30.0, 0.7]],
        'coco/bbox_mAP_s: 0.4': [[20.0, 0.2], [30.0, 0.4]],
    }


def test_several_runs_share_a_panel_for_each_value(run, panels, tmp_path):
    other = write_log(tmp_path / 'other', '20260101_000000', LINES)
    plot_runs({'run': run, 'other': other}, tmp_path / 'curves.png', 'two')
    assert [label for label, _ in panels] == ['training loss', 'learning rate', 'box AP']
    for _, curves in panels:
        assert set(curves) == {'run', 'other'}
    assert panels[2][1]['other'] == [[20.0, 0.5], [30.0, 0.6]]


def test_unknown_key_is_named_with_the_nearest(run, tmp_path):
    with pytest.raises(ValueError, match="'coco/box_mAP'.*did you mean 'coco/bbox_mAP'"):
        plot_runs({'': run}, tmp_path / 'curves.png', '', ['coco/box_mAP'])


def test_tool_draws_and_tells_the_last_and_the_best(run, tmp_path, monkeypatch, capsys):
    worse = [*LINES, {'coco/bbox_mAP': 0.4, 'step': 3}]
    other = write_log(tmp_path / 'other', '20260101_000000', worse).parents[2]
    out = tmp_path / 'pictures/curves.png'
    monkeypatch.setenv('COLUMNS', '200')
    run_here(monkeypatch, 'tools/analysis_tools/analyze_logs.py', run, other, '--out', out)
    assert imread(out)[..., :3].std() > 0.05
    output = capsys.readouterr().out
    assert '0.7 (0.7)' in output and '0.4 (0.6)' in output
