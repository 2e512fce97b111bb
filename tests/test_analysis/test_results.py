"""Confusion matrices, figures of the classes and worst images are those of the predictions."""

import csv
from types import SimpleNamespace

import mmseg.evaluation  # noqa: F401  registers its metric
import pytest
import torch
from matplotlib.image import imread
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmrsir.analysis.errors.confusion_chart import MAX_CLASSES, plot_confusion
from mmrsir.analysis.errors.hook import ResultsHook
from mmrsir.analysis.errors.tasks import TASKS, report_each_class
from mmrsir.engine import launch
from mmrsir.utils.errors import UserError

from ..helpers.commands import ROOT, on_data, run_here
from ..helpers.configs import SHAPES as CONFIGS

BOX = (0, 0, 10, 10)
NEAR = (0, 0, 10, 9)
APART = (50, 50, 60, 60)


def instances(*objects):
    """Objects as (box, label) or (box, label, score)."""
    boxes = torch.tensor([one[0] for one in objects], dtype=torch.float32).reshape(-1, 4)
    given = InstanceData(bboxes=boxes, labels=torch.tensor([one[1] for one in objects]).long())
    if objects and len(objects[0]) == 3:
        given.scores = torch.tensor([one[2] for one in objects])
    return given


def detection(truth, found, crowd=()):
    sample = DetDataSample(gt_instances=instances(*truth), pred_instances=instances(*found))
    sample.ignored_instances = instances(*crowd)
    if not found:
        sample.pred_instances.scores = torch.zeros(0)
    return sample


def cells(matrix):
    """The entries that are not 0, as {(true, predicted): count}."""
    return {tuple(place): int(matrix[tuple(place)]) for place in matrix.nonzero().tolist()}


@pytest.mark.parametrize(
    ('truth', 'found', 'expected'),
    [
        ([(BOX, 0)], [(NEAR, 0, 0.9)], {(0, 0): 1}),
        ([(BOX, 0)], [(NEAR, 1, 0.9)], {(0, 1): 1}),
        ([(BOX, 0)], [(APART, 0, 0.9)], {(0, 2): 1, (2, 0): 1}),
        ([(BOX, 0)], [(NEAR, 0, 0.2)], {(0, 2): 1}),
        ([(BOX, 0)], [(NEAR, 0, 0.9), (BOX, 0, 0.8)], {(0, 0): 1, (2, 0): 1}),
        # A box of the right class comes before one of a higher score.
        ([(BOX, 0)], [(NEAR, 1, 0.9), (BOX, 0, 0.8)], {(0, 0): 1, (2, 1): 1}),
        # Each box takes the object that it covers best.
        ([(BOX, 0), (NEAR, 1)], [(NEAR, 1, 0.9), (BOX, 0, 0.8)], {(0, 0): 1, (1, 1): 1}),
        ([(BOX, 1)], [], {(1, 2): 1}),
        ([], [(BOX, 1, 0.9)], {(2, 1): 1}),
        ([], [], {}),
    ],
)
def test_objects_are_matched(truth, found, expected):
    assert cells(TASKS['mmdet'].count(detection(truth, found), 2)) == expected


def test_boxes_in_a_crowd_do_not_count():
    crowd = [((0, 0, 100, 40), 0)]
    sample = detection([], [(BOX, 0, 0.9), (APART, 0, 0.9)], crowd)
    assert cells(TASKS['mmdet'].count(sample, 2)) == {(2, 0): 1}


def segmentation(truth, found):
    return SegDataSample(
        gt_sem_seg=PixelData(data=torch.tensor([truth])),
        pred_sem_seg=PixelData(data=torch.tensor([found])),
    )


def test_pixels_without_a_class_do_not_count():
    sample = segmentation([[0, 0, 1, 255]], [[0, 1, 1, 1]])
    assert TASKS['mmseg'].count(sample, 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def classification(truth, scores):
    sample = DataSample().set_gt_label(truth).set_pred_score(torch.tensor(scores))
    return sample.set_pred_label(sample.pred_score.argmax())


@pytest.mark.parametrize(
    ('scope', 'sample', 'score'),
    [
        ('mmdet', detection([(BOX, 0)], [(NEAR, 0, 0.9), (APART, 1, 0.9)]), 0.5),
        ('mmdet', detection([], []), 1.0),
        ('mmseg', segmentation([[0, 0, 1, 255]], [[0, 1, 1, 1]]), 0.5),
        ('mmseg', segmentation([[255]], [[0]]), 1.0),
        ('mmpretrain', classification(1, [0.7, 0.3]), 0.3),
    ],
)
def test_score_of_an_image(scope, sample, score):
    task = TASKS[scope]
    assert task.rate(sample, task.count(sample, 3)) == pytest.approx(score)


def test_worst_images_are_kept_in_their_order():
    hook = ResultsHook(TASKS['mmpretrain'], num_worst=2)
    hook.classes = ['a', 'b']
    scores = [0.9, 0.2, 0.6, 0.1, 0.4]
    for batch in (scores[:2], scores[2:]):
        hook.after_test_iter(None, 0, outputs=[classification(0, [p, 1 - p]) for p in batch])
    assert [one.score for one in hook.worst] == pytest.approx([0.1, 0.2])
    assert hook.matrix.tolist() == [[2, 3], [0, 0]]


def test_figures_of_classes_of_images():
    rows = TASKS['mmpretrain'].per_class(torch.tensor([[3, 1], [2, 4]]), ['a', 'b'], {})
    assert [row['accuracy'] for row in rows] == [75.0, 66.67]
    assert [row['precision'] for row in rows] == [60.0, 80.0]
    assert [row['images'] for row in rows] == [4, 6]


def test_figures_of_classes_of_pixels():
    rows = TASKS['mmseg'].per_class(torch.tensor([[3, 1], [2, 4]]), ['a', 'b'], {})
    assert [row['IoU'] for row in rows] == [50.0, 57.14]
    assert [row['accuracy'] for row in rows] == [75.0, 66.67]


def test_figures_of_classes_of_objects():
    matrix = torch.tensor([[3, 1, 2], [0, 4, 0], [5, 0, 0]])
    metrics = {'bbox/a_precision': 0.5, 'bbox/b_precision': 0.6, 'bbox/bbox_mAP': 0.55}
    first, second = TASKS['mmdet'].per_class(matrix, ['a', 'b'], metrics)
    assert first == {
        'class': 'a',
        'bbox_AP': 0.5,
        'objects': 6,
        'found': 3,
        'taken_for_others': 1,
        'missed': 2,
        'false': 5,
    }
    assert second['bbox_AP'] == 0.6


def test_picture_of_many_classes_has_those_with_errors(tmp_path, monkeypatch):
    drawn = SimpleNamespace()
    monkeypatch.setattr(
        'matplotlib.figure.Figure.savefig', lambda figure, *a, **k: setattr(drawn, 'it', figure)
    )
    matrix = torch.eye(MAX_CLASSES + 5, dtype=torch.int64)
    matrix[-1, 0] = 3
    plot_confusion(matrix, [f'class {i}' for i in range(len(matrix))], 'images', tmp_path / 'a.png')
    names = [label.get_text() for label in drawn.it.axes[0].get_xticklabels()]
    assert len(names) == MAX_CLASSES
    assert 'class 0' in names and f'class {len(matrix) - 1}' in names


def test_numbers_on_faint_colours_are_dark(tmp_path, monkeypatch):
    drawn = SimpleNamespace()
    monkeypatch.setattr(
        'matplotlib.figure.Figure.savefig', lambda figure, *a, **k: setattr(drawn, 'it', figure)
    )
    matrix = torch.full((10, 10), 10) + 2 * torch.eye(10, dtype=torch.int64)  # 10 % and 12 %
    plot_confusion(matrix, [f'class {i}' for i in range(10)], 'images', tmp_path / 'a.png')
    texts = drawn.it.axes[0].texts
    assert len(texts) == 100
    assert {text.get_color() for text in texts} == {'black'}


def test_a_data_set_without_names_of_classes_is_refused():
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo={})))
    with pytest.raises(UserError, match='has no class names: set its metainfo='):
        ResultsHook(TASKS['mmpretrain'], 2).before_test_epoch(runner)


def test_results_without_ground_truth_are_refused():
    hook = ResultsHook(TASKS['mmdet'], 2)
    hook.classes, hook.matrix = ['cat'], torch.tensor([[0, 0], [7, 0]])  # boxes on nothing
    with pytest.raises(UserError, match='no image of the test has ground truth'):
        hook.after_test_epoch(None)


def test_several_labels_of_an_image_are_refused():
    sample = DataSample().set_gt_label([0]).set_pred_label([0, 1])
    with pytest.raises(UserError, match='several labels an image'):
        ResultsHook(TASKS['mmpretrain'], 2).after_test_iter(None, 0, outputs=[sample])


def test_other_metrics_of_detectors_are_refused():
    cfg = launch.read_config(str(ROOT / CONFIGS['mmdet']), {'test_evaluator.type': 'LVISMetric'})
    with pytest.raises(
        ValueError, match='type=LVISMetric does not report single classes; allowed: CocoMetric'
    ):
        report_each_class(cfg)


@pytest.mark.parametrize(
    'scope', ['mmdet', pytest.param('mmseg', marks=pytest.mark.slow), 'mmpretrain']
)
def test_tool_analyses_a_checkpoint(scope, shapes, tmp_path, monkeypatch, capsys):
    config = str(ROOT / CONFIGS[scope])
    cfg = launch.read_config(config, None)
    init_default_scope(scope)
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'a.pth')
    # Each run of a process needs a name of its own.
    options = [f'visualizer.name={tmp_path}', f'experiment_name={tmp_path}']
    out_dir = tmp_path / 'results'
    arguments = [config, tmp_path / 'a.pth', '--out-dir', out_dir, '--worst', '2', '--cfg-options']
    options += on_data(scope, shapes)
    run_here(monkeypatch, 'tools/analysis_tools/analyze_results.py', *arguments, *options)
    with (out_dir / 'per_class.csv').open() as file:
        rows = list(csv.DictReader(file))
    num_classes = 5 if scope == 'mmseg' else 4
    figure = {'mmdet': 'segm_AP', 'mmseg': 'IoU', 'mmpretrain': 'accuracy'}[scope]
    assert len(rows) == num_classes and all(row[figure] for row in rows)
    assert len(list((out_dir / 'worst').iterdir())) == 2
    for name in ('confusion_matrix.png', 'worst.png'):
        assert imread(out_dir / name)[..., :3].std() > 0.05
