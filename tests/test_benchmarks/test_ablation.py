"""Backbones are compared on the same pictures, and what they reach is gathered rightly."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import ablate
import pytest
import torch
from ablation.accuracy_chart import plot_accuracies
from ablation.accuracy_table import markdown
from ablation.pairs import COLOURS, RADIUS, draw_pairs
from ablation.results import Accuracy, Difference, Outcome, compare, read_csv, summarize, write_csv
from ablation.runs import keep_settings
from ablation.tasks import TASKS, make_task, vary
from ablation.training import Settings, train
from ablation.variants import MECHANISMS, VARIANTS, build_variant

from mmrsir.models.mixers import MIXERS
from mmrsir.models.mixers.base import Mixer
from mmrsir.utils.errors import plain_errors

SMALL = Settings(side=32, pairs=8, steps=20, batch=4, draws=2, window_size=3, device='cpu')
ROW = Outcome('pairs', 'rsir', 'fixed', 0, 80.0, 10, 20, 1.5)


def test_pairs_are_answered_by_their_colours():
    pictures, answers = draw_pairs(200, 48, torch.Generator().manual_seed(0))
    whole = pictures.amax(1) == 255  # no edges
    for picture, pixels, answer in zip(pictures, whole, answers, strict=True):
        colours = {tuple(colour) for colour in picture[:, pixels].T.tolist()}
        assert len(colours) == (1 if answer == 1 else 2)
    assert 60 < answers.sum() < 140


def test_discs_of_a_pair_do_not_touch():
    pictures, _ = draw_pairs(50, 64, torch.Generator().manual_seed(0))
    area = torch.pi * (RADIUS * 64) ** 2
    covered = pictures.amax(1).float().div(255).sum((1, 2))
    torch.testing.assert_close(covered, torch.full_like(covered, 2 * area), rtol=0.03, atol=0)


def test_all_colours_come_as_same_and_as_different():
    pictures, answers = draw_pairs(600, 32, torch.Generator().manual_seed(0))
    for answer in (0, 1):
        pixels = pictures[answers == answer].permute(1, 0, 2, 3).flatten(1)
        whole = pixels[:, pixels.amax(0) == 255]
        assert len(whole.unique(dim=1).T) >= COLOURS


@pytest.mark.parametrize('name', TASKS)
def test_a_task_is_the_same_at_each_call(name):
    first, second = (make_task(name, 32, 20) for _ in range(2))
    for part in ('train', 'test'):
        assert torch.equal(getattr(first, part).images, getattr(second, part).images)
        assert torch.equal(getattr(first, part).answers, getattr(second, part).answers)
    assert set(first.test.answers.tolist()) == set(range(first.classes))


def test_digits_are_all_there_once():
    digits = make_task('digits', 32, 0)
    assert len(digits.train.answers) + len(digits.test.answers) == 1797
    pictures = torch.cat([digits.train.images, digits.test.images])[:, 0].flatten(1)
    assert len(pictures.unique(dim=0)) == 1797


def test_pairs_are_mirrored_and_turned_and_digits_moved():
    picture = torch.rand(1, 3, 32, 32)
    varied = vary(picture.expand(200, -1, -1, -1), 'pairs')
    views = [turned for flip in (picture, picture.flip(3)) for turned in quarters(flip)]
    found = {
        next(i for i, view in enumerate(views) if torch.allclose(view[0], one, atol=1e-5))
        for one in varied
    }
    assert found == set(range(8))
    dot = torch.zeros(200, 3, 32, 32)
    dot[:, :, 16, 16] = 1
    places = vary(dot, 'digits')[:, 0].flatten(1).argmax(1)
    assert set((places % 32).tolist()) == set((places // 32).tolist()) == set(range(13, 20))


def quarters(picture):
    return [picture.rot90(turns, (2, 3)) for turns in range(4)]


def test_mechanisms_are_those_of_the_models():
    assert {name for mixers in MECHANISMS.values() for name in mixers} == set(MIXERS)


@pytest.mark.parametrize('variant', VARIANTS)
def test_variants_differ_from_rsir_in_what_their_name_says(variant):
    settings, reference = VARIANTS[variant], VARIANTS['rsir']
    changed = {key for key in settings if settings[key] != reference.get(key, 'default')}
    expected = {key for key in ('position', 'importance') if f'{key}=' in variant}
    if not variant.startswith('rsir') or variant.endswith('only'):
        expected.add('mixers')
    if 'windows' in variant:
        expected.add('window_scale')
    assert changed == expected
    assert build_variant(variant, 3).out_channels == (256,)


def test_windows_have_the_size_that_is_asked_for():
    for variant, side in (('rsir', 3), ('rsir, windows of twice the side', 6)):
        mixers = [one for one in build_variant(variant, 3).modules() if isinstance(one, Mixer)]
        assert {mixer.window_tokens for mixer in mixers} == {side**2}


def test_a_training_is_repeatable_and_evaluates_rsir_in_three_ways():
    task = make_task('digits', 32, 0)
    first, second = (train('rsir', task, 1, SMALL) for _ in range(2))
    assert [row.evaluation for row in first] == ['fixed', 'random', 'mean of 2 draws']
    assert [row.accuracy for row in first] == [row.accuracy for row in second]
    other = train('axial', task, 1, SMALL)
    assert [row.label for row in other] == ['axial']


@pytest.mark.slow
def test_what_can_be_learned_is_learned():
    task = make_task('digits', 32, 0)
    (row,) = train('shifted_window', task, 0, replace(SMALL, steps=40, batch=32))
    assert row.accuracy > 40  # of 10 digits


def test_summary():
    rows = [replace(ROW, seed=seed, accuracy=value) for seed, value in enumerate((1.0, 2.0, 3.0))]
    other = replace(ROW, evaluation='random')
    assert summarize([*rows, other]) == {
        ('pairs', 'rsir'): Accuracy(2.0, 1.0, 3, 0),
        ('pairs', 'rsir, random'): Accuracy(80.0, 0.0, 1, 1),
    }
    assert Accuracy(2.0, 1.0, 4, 0).error == 0.5


@pytest.mark.parametrize(('task', 'least'), [('pairs', 75), ('digits', 55)])
def test_half_of_the_way_from_guessing_is_solved(task, least):
    rows = [replace(ROW, task=task, seed=i, accuracy=least - i) for i in range(3)]
    assert summarize(rows)[task, 'rsir'].solved == 1


def test_a_folder_keeps_to_its_settings(tmp_path):
    keep_settings(SMALL, tmp_path)
    keep_settings(SMALL, tmp_path)
    for changed, known in (
        (replace(SMALL, window_size=7), 'window_size=3'),
        (replace(SMALL, device='cuda'), 'device=cpu'),
    ):
        with pytest.raises(ValueError, match=f'trainings with {known}: '):
            keep_settings(changed, tmp_path)


@pytest.mark.parametrize('difference', [dict(device=None), dict(colours=8)])
def test_a_folder_of_another_version_is_refused(tmp_path, difference):
    known = {**asdict(SMALL), **difference}
    (tmp_path / 'settings.json').write_text(
        json.dumps({key: value for key, value in known.items() if value is not None})
    )
    with pytest.raises(ValueError, match='(device=unknown|colours=8): choose another --out'):
        keep_settings(SMALL, tmp_path)


def test_rows_come_back_from_their_file(tmp_path):
    rows = [ROW, replace(ROW, evaluation='random', accuracy=33.333)]
    write_csv(rows, tmp_path / 'rows.csv')
    assert read_csv(tmp_path / 'rows.csv') == rows


def by_seed(label: str, accuracies: dict[int, float]) -> list[Outcome]:
    variant, _, evaluation = label.partition(' / ')
    row = replace(ROW, variant=variant, evaluation=evaluation or 'fixed')
    return [replace(row, seed=seed, accuracy=value) for seed, value in accuracies.items()]


def test_differences_are_those_of_trainings_with_the_same_seed():
    rows = by_seed('rsir', {0: 10.0, 1: 20.0, 2: 60.0})
    rows += by_seed('axial', {2: 63.0, 3: 99.0, 0: 11.0, 1: 22.0})
    rows += by_seed('rsir / mean of 2 draws', {0: 10.0, 1: 19.0}) + by_seed('grid', {0: 50.0})
    assert compare(rows, 'rsir') == {
        ('pairs', 'axial'): Difference(2.0, pytest.approx(1 / 3**0.5)),
        ('pairs', 'rsir, mean of 2 draws'): Difference(-0.5, pytest.approx(0.5)),
    }


@pytest.mark.parametrize(
    ('difference', 'clear'),
    [((2.1, 1.0), True), ((-2.1, 1.0), True), ((2.0, 1.0), False), ((0.0, 0.0), False)],
)
def test_more_than_two_standard_errors_are_clear(difference, clear):
    assert Difference(*difference).is_clear == clear


def test_table():
    rows = by_seed('rsir', {0: 80.0, 1: 82.0}) + by_seed('rsir / random', {0: 81.0, 1: 83.5})
    rows += by_seed('grid', {0: 79.0, 1: 83.0}) + by_seed('axial', {0: 80.0})
    rows += [replace(ROW, task='digits', variant='axial')]
    assert markdown(rows).splitlines() == [
        '| variant | parameters | FLOPs | pairs | minus rsir | digits | minus rsir |',
        '|---|---|---|---|---|---|---|',
        '| rsir | 0.00 M | 0 M | 81.0 ± 1.4 (2 of 2) | - | - | - |',
        '| rsir, random | 0.00 M | 0 M | 82.2 ± 1.8 (2 of 2) | **+1.2 ± 0.2** | - | - |',
        '| grid | 0.00 M | 0 M | 81.0 ± 2.8 (2 of 2) | +0.0 ± 1.0 | - | - |',
        '| axial | 0.00 M | 0 M | 80.0 (1 of 1) | - | 80.0 (1 of 1) | - |',
    ]


def test_picture(tmp_path):
    plot_accuracies([ROW, replace(ROW, task='digits')], tmp_path / 'picture.png')
    assert (tmp_path / 'picture.png').read_bytes().startswith(b'\x89PNG')


def arguments(out: Path, *more: str) -> list[str]:
    sizes = ['--side', '32', '--pairs', '8', '--steps', '20', '--batch', '4', '--draws', '2']
    return ['--out', str(out), '--device', 'cpu', '--seeds', '1', *sizes, *more]


@pytest.mark.slow
def test_tool_trains_what_is_missing_and_keeps_it(tmp_path, capsys):
    chosen = arguments(tmp_path, '--tasks', 'digits', '--variants', 'axial', 'rsir')
    trained = tmp_path / 'trainings/digits-axial-0.json'
    trained.parent.mkdir()
    known = replace(ROW, task='digits', variant='axial', accuracy=12.5)
    trained.write_text(json.dumps([asdict(known)]))
    ablate.main(chosen)
    assert '| axial | 0.00 M | 0 M | 12.5 (0 of 1) |' in capsys.readouterr().out
    rows = read_csv(tmp_path / 'results.csv')
    assert [row.label for row in rows] == ['axial', 'rsir', 'rsir, random', 'rsir, mean of 2 draws']
    assert (tmp_path / 'results.png').exists() and (tmp_path / 'table.md').exists()
    with pytest.raises(SystemExit), plain_errors():
        ablate.main([*chosen, '--batch', '5'])
    assert f'{tmp_path} holds trainings with batch=4' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (['--tasks', 'digit'], "did you mean 'digits'"),
        (['--variants', 'axle'], "did you mean 'axial'"),
        (['--seeds', '0'], '--seeds'),
        (['--steps', '5'], '--steps'),
        (['--window-size', '0'], '--window-size'),
    ],
)
def test_tool_refuses(tmp_path, capsys, more, message):
    with pytest.raises(SystemExit), plain_errors():
        ablate.main(arguments(tmp_path, *more))
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
