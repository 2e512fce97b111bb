"""Timing in turns, what follows from times, and the command line. No test asserts a real time."""

import itertools
import json
from functools import partial

import benchmark
import pytest
import torch
from rich.console import Console
from speed import runs, timing
from speed.cases import Case
from speed.memory import peak_growth
from speed.onnx_session import onnx_session
from speed.results import Results, Timing
from speed.subjects import backbone_subject
from speed.timing import Contender, take_turns
from speed.timings_chart import plot_timings
from speed.timings_table import render_case, render_scaling
from torch import nn

from mmrsir.utils.arguments import parse_size
from mmrsir.utils.errors import plain_errors

CPU = torch.device('cpu')
SMALL = Case('forward', 8, 8, 2)
ENVIRONMENT = dict(
    gpu=None,
    cpu='a processor',
    threads=2,
    load_average=0.5,
    copy_gb_per_second=1.0,
    versions={'torch': '2'},
)


class Maps(nn.Module):
    """A small backbone."""

    def __init__(self, calls_until_failure=None):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)
        self.calls_until_failure = calls_until_failure

    def forward(self, images):
        if self.calls_until_failure is not None:
            self.calls_until_failure -= 1
            if self.calls_until_failure == 0:
                raise RuntimeError('no such kernel\nand a long explanation')
        return [self.conv(images)]


@pytest.fixture
def modules(monkeypatch):
    """Models by name, in place of the real ones."""
    known = {}

    def build(name, case):
        return backbone_subject(known[name], case)

    monkeypatch.setattr(runs, 'build', build)
    return known


def run_case(case, models, modes=('eager',), warmup=1, repeats=3):
    return runs.run_case(case, models, modes, warmup, repeats)


def results_of(*rows, baseline='a'):
    return Results(baseline, 'command', '2026-01-01T00:00:00+00:00', ENVIRONMENT, list(rows))


def printed(renderable):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize(
    ('text', 'size'), [('224:4', (224, 224, 4)), ('800x1280:1', (800, 1280, 1))]
)
def test_size_names_height_width_and_batch(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize('text', ['224', '224:0', '0:1', '224x:1', '8x8x8:1', '-8:1', '8:1 '])
def test_malformed_size_is_refused(text):
    with pytest.raises(ValueError, match='HEIGHTxWIDTH:BATCH'):
        parse_size(text)


def test_rounds_run_all_once_and_begin_with_another_one():
    ran = []
    contenders = [Contender(partial(ran.append, name)) for name in 'abc']
    for _ in take_turns(contenders, warmup=1, repeats=3, measure=lambda run: run() or 0.0):
        pass
    assert ''.join(ran) == 'abcbcacababc'


def test_times_are_those_of_the_clock_after_the_warmup(monkeypatch):
    # Start and end of each run, of which the first two are warm-up.
    instants = itertools.chain.from_iterable((10 * n, 10 * n + n) for n in range(1, 7))
    monkeypatch.setattr(timing.time, 'perf_counter', partial(next, instants))
    contenders = [Contender(lambda: None), Contender(lambda: None)]
    for _ in take_turns(contenders, 1, 2, timing.stopwatch(CPU)):
        pass
    assert [one.seconds for one in contenders] == [[4, 5], [3, 6]]


def test_short_computations_are_repeated_and_averaged():
    seconds = iter([0.5, 1.0, 0.6, 3.0, 9.0])
    watch = timing.averaged(lambda run: run() or next(seconds), min_seconds=2)
    ran = []
    assert watch(partial(ran.append, 1)) == pytest.approx(0.7)
    assert watch(partial(ran.append, 2)) == 3.0
    assert ran == [1, 1, 1, 2]


def test_failed_contender_keeps_the_reason_and_no_times():
    attempts = iter([None, None])

    def fail_at_third():
        next(attempts)

    contenders = [Contender(fail_at_third), Contender(lambda: None)]
    for _ in take_turns(contenders, warmup=1, repeats=3, measure=lambda run: run() or 1.0):
        pass
    failed, other = contenders
    assert (failed.seconds, failed.failure) == ([], 'StopIteration')
    assert (other.seconds, other.failure) == ([1.0] * 3, None)


def test_median_ratio_and_overhead_follow_from_times():
    fast = Timing('a', 'eager', SMALL, [2.0, 1.0, 30.0], [0.5, 8.0, 1.0])
    slow = Timing('b', 'eager', SMALL, [5.0, 9.0, 5.0], [5.0])
    results = results_of(fast, slow)
    assert (fast.median, fast.throughput, fast.overhead) == (2.0, 1.0, 2.0)
    assert (results.ratio(fast), results.ratio(slow)) == (1.0, 2.5)


def test_ratio_compares_within_case_and_mode():
    other = Case('training', 8, 8, 2)
    results = results_of(
        Timing('a', 'compiled', SMALL, [1.0]),
        Timing('a', 'eager', other, [2.0]),
        Timing('a', 'eager', SMALL, [4.0]),
        Timing('b', 'eager', SMALL, [8.0]),
    )
    assert results.ratio(results.rows[-1]) == 2.0


def test_memory_is_compared_too():
    rows = [Timing('a', 'eager', SMALL, [1.0], [], 20), Timing('b', 'eager', SMALL, [1.0], [], 50)]
    assert results_of(*rows).ratio(rows[1], 'peak_bytes') == 2.5


def test_nothing_is_compared_with_what_failed():
    results = results_of(
        Timing('a', 'eager', SMALL, failure='no'), Timing('b', 'eager', SMALL, [1.0])
    )
    assert [results.ratio(row) for row in results.rows] == [None, None]
    assert results.rows[1].overhead is None


def test_exponent_is_the_slope_of_time_an_image_over_its_tokens():
    rows = [
        Timing('a', 'eager', Case('forward', 4 * side, 2 * side, batch), [3e-6 * batch * side**3.0])
        for side, batch in ((8, 4), (32, 1), (64, 2))
    ]
    (fit,) = results_of(*rows).scaling()
    assert fit.exponent == pytest.approx(1.5)
    assert (fit.smallest, fit.largest) == (8 * 4, 64 * 32)
    assert '32 to 2048' in printed(render_scaling([fit]))


def test_two_sizes_are_not_fitted():
    rows = [Timing('a', 'eager', Case('forward', side, side, 1), [1.0]) for side in (8, 16)]
    assert results_of(*rows).scaling() == []


@pytest.mark.parametrize('step', ['forward', 'training'])
def test_each_model_and_mode_is_a_row_with_all_figures(modules, monkeypatch, step):
    monkeypatch.setattr(torch, 'compile', partial(torch.compile, backend='eager'))
    modules.update(a=Maps(), b=Maps())
    rows = run_case(Case(step, 8, 8, 2), ['b', 'a'], ['eager', 'compiled'])
    names = [(row.model, row.mode) for row in rows]
    assert names == [('b', 'eager'), ('b', 'compiled'), ('a', 'eager'), ('a', 'compiled')]
    for row in rows:
        assert row.failure is None
        assert len(row.seconds) == len(row.floor_seconds) == 3
        assert row.peak_bytes > 0
        assert row.median > 0
        assert row.overhead > 0
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] > 0


def test_modes_of_the_compiler_reach_it(modules, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, 'compile', lambda module, mode: asked.append(mode) or module)
    modules['a'] = Maps()
    modes = [mode for mode in runs.MODES if mode != 'onnxruntime']
    rows = run_case(SMALL, ['a'], modes, repeats=1)
    assert asked == [None, 'max-autotune-no-cudagraphs', 'reduce-overhead']
    assert [row.mode for row in rows] == modes and not any(row.failure for row in rows)


def test_onnxruntime_computes_what_the_model_does_and_tells_no_memory(modules, monkeypatch):
    modules['a'] = Maps().eval()
    images = torch.randn(2, 3, 8, 8)
    (computed,) = onnx_session(modules['a'], images)(images)
    torch.testing.assert_close(torch.from_numpy(computed), modules['a'](images)[0])
    (row,) = run_case(SMALL, ['a'], ['onnxruntime'])
    assert row.failure is None and len(row.seconds) == 3 and row.peak_bytes is None


def test_no_model_falls_back_to_eager_mode_unnoticed(modules, monkeypatch):
    monkeypatch.setattr(torch, 'compile', partial(torch.compile, backend='eager'))
    monkeypatch.setattr(runs, 'GRAPHS', 1)  # the second model's is one too many
    modules.update(a=Maps(), b=Maps())
    modules['b'].conv.stride = (2, 2)
    first, second = run_case(SMALL, ['a', 'b'], ['compiled'])
    assert first.failure is None
    assert second.failure.startswith('FailOnRecompileLimitHit')


@pytest.mark.parametrize('step', ['forward', 'training'])
def test_models_run_in_the_mode_of_the_step_and_keep_no_gradients(modules, step):
    modules['a'] = Maps()
    run_case(Case(step, 8, 8, 2), ['a'])
    assert modules['a'].training == (step == 'training')
    assert modules['a'].conv.weight.grad is None


@pytest.mark.parametrize(('step', 'backward_passes'), [('forward', 0), ('training', 1 + 3 + 1)])
def test_training_runs_the_backward_pass_in_each_step(modules, step, backward_passes):
    modules['a'] = Maps()
    passes = []
    modules['a'].conv.weight.register_post_accumulate_grad_hook(passes.append)
    run_case(Case(step, 8, 8, 2), ['a'], warmup=1, repeats=3)
    assert len(passes) == backward_passes  # that of the memory included


# One call records the layers, two are warm-up and repeats.
@pytest.mark.parametrize('calls_until_failure', [1, 2, 3])
def test_failing_model_becomes_a_row_and_the_others_go_on(modules, calls_until_failure):
    modules.update(a=Maps(calls_until_failure), b=Maps())
    failed, other = run_case(SMALL, ['a', 'b'], repeats=1)
    assert failed.failure == 'RuntimeError: no such kernel'
    assert (failed.seconds, failed.median, failed.peak_bytes) == ([], None, None)
    assert other.failure is None
    table = printed(render_case(results_of(failed, other), SMALL))
    assert 'a: RuntimeError: no such kernel' in table


def test_model_that_cannot_be_built_becomes_a_row(modules):
    modules['a'] = Maps()
    failed, other = run_case(SMALL, ['unknown', 'a'])
    assert failed.failure == "KeyError: 'unknown'"
    assert other.failure is None


def test_peak_is_what_is_taken_at_once():
    def mebibytes(number):
        return torch.empty(number * 2**20, dtype=torch.uint8)

    def run():
        first, second = mebibytes(1), mebibytes(2)
        del first
        third = mebibytes(4)
        del second, third
        return mebibytes(3)

    assert peak_growth(run, CPU) == peak_growth(run, CPU) == 6 * 2**20


def test_peak_of_training_holds_activations_and_gradients():
    model = nn.Sequential(nn.Linear(8, 1000), nn.ReLU(), nn.Linear(1000, 1000, bias=False))
    x = torch.zeros(500, 8)
    forward = 3 * 500 * 1000 * 4  # two hidden layers' values and the output
    backward = 500 * 1000 * 4 + 1000 * 1000 * 4  # gradients of the last hidden layer and weight

    def run():
        out = model(x)
        torch.autograd.backward(out, torch.zeros(1).expand_as(out))
        model.zero_grad()

    peak = peak_growth(run, CPU)
    assert forward + backward <= peak < 1.2 * (forward + backward)


def test_memory_of_a_row_includes_weights_and_batch(modules, monkeypatch):
    modules['a'] = Maps()
    monkeypatch.setattr(runs, 'peak_growth', lambda run, device: 1)
    (row,) = run_case(SMALL, ['a'])
    weights, images = (3 * 4 * 16 + 4) * 4, 2 * 3 * 8 * 8 * 4
    assert row.peak_bytes == weights + images + 1


def test_json_holds_everything(tmp_path):
    results = results_of(
        Timing('a', 'eager', SMALL, [1.0, 2.0, 3.0], [1.0], 10),
        Timing('b', 'eager', SMALL, failure='no'),
    )
    results.write(tmp_path / 'new/results.json')
    content = json.loads((tmp_path / 'new/results.json').read_text())
    assert content == results.as_dict()
    first, second = content['rows']
    assert (first['seconds'], first['R'], first['ratio'], first['images_per_second']) == (
        [1.0, 2.0, 3.0],
        2.0,
        1.0,
        1.0,
    )
    assert first['spread'] == dict(minimum=1.0, lower_quartile=1.5, median=2.0, upper_quartile=2.5)
    assert Case(**first['case']) == SMALL
    assert (second['failure'], second['spread'], second['R']) == ('no', None, None)


def test_picture_shows_failed_models_too(tmp_path):
    rows = [
        Timing('a', 'eager', SMALL, [1.0, 2.0], [0.5]),
        Timing('b', 'eager', SMALL, failure='no'),
    ]
    other = Timing('a', 'eager', Case('training', 8, 8, 2), [1.0])
    plot_timings(results_of(*rows, other), tmp_path / 'picture.png')
    assert (tmp_path / 'picture.png').stat().st_size > 0


def test_command_line_times_prints_and_writes(tmp_path, capsys):
    out = tmp_path / 'results.json'
    arguments = ['rsir_nano', '--sizes', '32:1', '--repeats', '1', '--warmup', '1']
    benchmark.main([*arguments, '--device', 'cpu', '--out', str(out)])
    content = json.loads(out.read_text())
    assert [row['case']['step'] for row in content['rows']] == ['forward', 'training']
    assert all(row['failure'] is None and row['ratio'] == 1.0 for row in content['rows'])
    assert content['command'].startswith('benchmark.py rsir_nano --sizes 32:1')
    assert content['environment']['threads'] == torch.get_num_threads()
    assert content['environment']['versions']['torch'].startswith('2.')
    assert out.with_suffix('.png').exists()
    text = capsys.readouterr().out
    for expected in ('forward, 32 x 32, batch 1, fp32', 'training, 32 x 32', 'rsir_nano', 'img/s'):
        assert expected in text


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['rsir_tiney'], "did you mean 'rsir_tiny'"),
        (['tim:resnet50'], "did you mean 'timm'"),
        (['timm:resnet5O'], "did you mean 'resnet50'"),
        (['mmdet:SwinTransformr'], "did you mean 'SwinTransformer'"),
        (['config:configs/mask_rcnn/rsir_t_1x_coc.py'], 'did you mean'),
        (['config:mmdte::swin/x.py'], "did you mean 'mmdet'"),
        (['rsir_nano', '--baseline', 'literal'], "allowed: 'rsir_nano'"),
        (['swin:nan'], "did you mean 'nano'"),
        (['swin:nano:x'], "window='x' must be a whole number"),
        (['rsir_nano', '--modes', 'onnxruntime'], 'needs --steps forward'),
        (['rsir_nano', '--sizes', '224'], 'HEIGHTxWIDTH:BATCH'),
        (['rsir_nano', '--repeats', '0'], '--repeats=0 must be at least 1'),
        (['rsir_nano', '--device', 'gpu'], 'must be cpu, or cuda'),
        (['rsir_nano', '--scaling', '--sizes', '32:1'], 'not allowed with'),
    ],
)
def test_wrong_arguments_end_the_tool_before_it_runs(capsys, arguments, message):
    with pytest.raises(SystemExit), plain_errors():
        benchmark.main(arguments)
    assert message in capsys.readouterr().err
