"""Heads and metrics of classifiers that do not fit the labels are named before a training."""

from types import SimpleNamespace

import pytest
from mmpretrain.evaluation import Accuracy, MultiLabelMetric
from mmpretrain.models import ClsDataPreprocessor, LinearClsHead, MultiLabelLinearClsHead
from mmseg.evaluation import IoUMetric
from torch import nn

from mmrsir.engine.hooks.checkpoint import ResumableCheckpointHook
from mmrsir.engine.hooks.label_kinds import label_mistakes
from mmrsir.utils.errors import InvalidValueError


class Labels(list):
    def get_data_info(self, index):
        return dict(gt_label=self[index])


class LoadsLabels:
    """A transform of a project of its own."""


def mistakes(labels, metric, head=LinearClsHead, **settings):
    model = nn.Module()
    model.data_preprocessor = ClsDataPreprocessor(num_classes=3, **settings)
    model.head = head(num_classes=3, in_channels=2)
    loader = SimpleNamespace(dataset=labels if isinstance(labels, Labels) else Labels(labels))
    loop = SimpleNamespace(dataloader=loader, evaluator=SimpleNamespace(metrics=[metric]))
    return [(one.setting, one.problem) for one in label_mistakes(dict(train=loop), model)]


@pytest.mark.parametrize(
    ('labels', 'metric', 'head', 'settings'),
    [
        ([0, 1], Accuracy(topk=(1, 3)), LinearClsHead, []),
        ([0, 1], Accuracy(topk=(1, 5)), LinearClsHead, ['train_evaluator.topk']),
        ([0, 1], MultiLabelMetric(), MultiLabelLinearClsHead, []),
        ([[0], [1, 2]], MultiLabelMetric(), MultiLabelLinearClsHead, []),
        ([[0], [1, 2]], MultiLabelMetric(), LinearClsHead, ['model.head.type']),
        ([[0], [1, 2]], Accuracy(), MultiLabelLinearClsHead, ['train_evaluator']),
        ([0, 1], MultiLabelMetric(topk=3), MultiLabelLinearClsHead, []),
        ([[0], [1]], Accuracy(), LinearClsHead, []),  # lists of one label
        ([None], Accuracy(), LinearClsHead, ['train_evaluator']),
        ([], Accuracy(), LinearClsHead, []),
    ],
)
def test_what_does_not_fit_the_labels_is_named(labels, metric, head, settings):
    assert [setting for setting, _ in mistakes(labels, metric, head)] == settings


def test_any_head_takes_several_labels_as_scores():
    assert mistakes([[0], [1, 2]], MultiLabelMetric(), to_onehot=True) == []


def test_labels_that_a_transform_of_a_project_loads_are_not_missed():
    labels = Labels([None])
    assert mistakes(labels, Accuracy())
    labels.pipeline = SimpleNamespace(transforms=[LoadsLabels()])
    assert mistakes(labels, Accuracy()) == []


def test_a_metric_of_label_maps_needs_some():
    metric = IoUMetric()
    found = []
    for path, format_only in (('a.png', False), (None, False), (None, True)):
        metric.format_only = format_only
        dataset = Labels([0])
        dataset.get_data_info = lambda _, path=path: dict(img_path='', seg_map_path=path)
        loader = SimpleNamespace(dataset=dataset)
        loop = SimpleNamespace(dataloader=loader, evaluator=SimpleNamespace(metrics=[metric]))
        found.append([one.setting for one in label_mistakes(dict(test=loop), None)])
    assert found == [[], ['test_evaluator'], []]


def test_a_best_checkpoint_by_a_metric_that_is_not_there_is_refused():
    hook = ResumableCheckpointHook(save_best='accuracy/top5', rule='greater')
    runner = SimpleNamespace(hooks=[])
    message = "save_best='accuracy/top5' .* did you mean 'accuracy/top1'.; there are accuracy/top1"
    with pytest.raises(InvalidValueError, match=message):
        hook._save_best_checkpoint(runner, {'accuracy/top1': 1.0})
