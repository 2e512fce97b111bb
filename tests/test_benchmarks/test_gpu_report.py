"""The report of a GPU: parts have limits, and what was measured is compared with the aims."""

import sys
import time

import gpu_kernels
import pytest
import torch
from gpu_report import OURS, SWIN, Part, markdown, minimal_bytes, plan, run_parts, summarize

from mmrsir.models import RSIRTransformer, fused_block

CASE = dict(step='forward', height=224, batch=256)


def part(tmp_path, name, code, limit=30.0):
    (tmp_path / 'parts').mkdir(exist_ok=True)
    return Part(name, [sys.executable, '-c', code], limit, tmp_path / f'{name}.json')


def test_a_slow_part_is_cut_and_the_others_are_kept(tmp_path):
    (tmp_path / 'fast.json').write_text('{"figure": 1}')
    parts = [
        part(tmp_path, 'slow', 'import time; print("begun"); time.sleep(60)', limit=0.5),
        part(tmp_path, 'fast', 'print("said")'),
        part(tmp_path, 'broken', 'raise SystemExit(3)'),
    ]
    found = run_parts(parts, time.monotonic() + 30, tmp_path)
    assert found['slow']['state'] == 'cut' and found['slow']['result'] is None
    assert found['broken']['state'] == 'failed with 3'
    assert found['fast']['state'] == 'done' and found['fast']['result'] == {'figure': 1}
    assert found['fast']['printed'] == ['said']
    assert run_parts(parts, time.monotonic(), tmp_path)['fast'] == {'state': 'no time left'}


def test_the_least_bytes_are_those_of_the_document():
    assert minimal_bytes('tiny', 224) == pytest.approx(75.7e6, rel=1e-3)


def row(model, mode, seconds, step='forward', peak=2**20, floor=0.004, failure=None):
    return dict(
        model=model,
        mode=mode,
        case={**CASE, 'step': step},
        spread=dict(median=seconds) if seconds else None,
        floor_spread=dict(median=floor),
        images_per_second=256 / seconds if seconds else None,
        peak_bytes=peak,
        failure=failure,
    )


def results(*rows):
    return dict(state='done', result=dict(rows=rows, environment=dict(copy_gb_per_second=4000)))


def test_each_model_is_compared_in_its_best_mode():
    parts = {
        'forward compiled': results(row(OURS, 'compiled', 0.010), row(SWIN, 'compiled', 0.030)),
        'forward reduce-overhead': results(
            row(OURS, 'reduce-overhead', 0.012), row(SWIN, 'reduce-overhead', 0.020)
        ),
        'training compiled': results(
            row(OURS, 'compiled', 0.1, 'training', 70), row(SWIN, 'compiled', 0.2, 'training', 100)
        ),
        'compile rsir_tiny forward compiled': results(row(OURS, 'compiled', 0.001)),
        'kernels': dict(
            state='done',
            result=dict(
                forward=[
                    dict(way='unfused', milliseconds=12.0),
                    dict(way='fused', milliseconds=10.0),
                ]
            ),
        ),
        'cut': dict(state='no time left'),
    }
    found = summarize(parts)
    assert found[f'forward, {OURS}']['mode'] == 'compiled'
    assert found[f'forward, {SWIN}']['mode'] == 'reduce-overhead'
    assert found['forward_ratio'] == pytest.approx(2) and found['training_ratio'] == 2
    assert found['memory_ratio'] == 0.7 and found['fused_ratio'] == pytest.approx(1.2)
    moving = 256 * minimal_bytes('tiny', 224) / 4e12  # more than the 4 ms of the layers alone
    assert found['floor_ratio'] == pytest.approx(0.010 / moving)
    report = dict(device='a', torch='b', date='c', tiny=False, parts=parts, summary=found)
    assert '| timm swin_tiny / RSIR-T, forward, each in its best mode | 2.00 |' in markdown(report)


def test_what_failed_is_not_compared():
    parts = {
        'forward compiled': results(
            row(OURS, 'compiled', 0.01), row(SWIN, 'compiled', None, failure='out of memory')
        )
    }
    report = dict(
        device='a', torch='b', date='c', tiny=False, parts=parts, summary=summarize(parts)
    )
    assert 'forward_ratio' not in report['summary']
    assert markdown(report).count('not measured') == 4
    assert 'aim' not in markdown({**report, 'tiny': True})


def test_timed_parts_come_one_by_one_after_what_is_compiled(tmp_path):
    together, timed = plan(tmp_path, tiny=False)
    assert together[0].name == 'tests' and len(together) == 8
    assert [one.name for one in timed[:3]] == ['forward compiled', 'training compiled', 'kernels']
    assert any(path.endswith('test_kernels.py') for path in together[0].command)
    names = [one.name for one in [*together, *timed]]
    assert len(set(names)) == len(names)


def test_largest_kernels_are_listed_first():
    side = torch.randn(200, 200)
    rows = gpu_kernels.largest_kernels(lambda: (side @ side @ side, side + 1), torch.device('cpu'))
    times = [one['milliseconds'] for one in rows]
    assert times == sorted(times, reverse=True) and rows[0]['kernel'] == 'aten::mm'
    assert rows[0]['calls'] == 2 and sum(one['share'] for one in rows) == pytest.approx(1)


def test_warps_are_tried_in_turn_and_the_default_comes_back():
    kernels = pytest.importorskip('mmrsir.models.kernels')
    default, seen = kernels._tokens_per_warp, set()

    def run():
        seen.add(kernels._tokens_per_warp())
        return torch.ones(2)

    rows = gpu_kernels.time_by_warps({'forward': run}, torch.device('cpu'))
    assert seen == {16, 32} and [one['way'] for one in rows] == ['4 warps', '2 warps']
    assert all(one['difference'] == 0 for one in rows)
    assert default is kernels._tokens_per_warp


def test_halves_of_blocks_that_can_be_fused_are_timed_both_ways(monkeypatch):
    pytest.importorskip('triton')
    monkeypatch.setattr(gpu_kernels, '_attention', lambda block, x, places: x + 1)
    monkeypatch.setattr(fused_block, 'add_attention', lambda block, x, places: x + 1)
    monkeypatch.setattr(fused_block, 'add_mlp', lambda block, x: 2 * gpu_kernels._mlp(block, x))
    size = (64, 1, torch.float32, torch.device('cpu'))
    rows = gpu_kernels.time_halves(RSIRTransformer('nano'), *size)
    assert [row['channels'] for row in rows] == [one for one in (32, 64, 128) for _ in range(4)]
    assert [row['half'] for row in rows[:4]] == ['attention', 'attention', 'mlp', 'mlp']
    assert [row['way'] for row in rows[:2]] == ['unfused', 'fused']
    assert [round(row['difference'], 3) for row in rows[:4]] == [0, 0, 0, 1]
    assert all(row['milliseconds'] > 0 for row in rows)


def test_a_way_that_fails_says_why():
    ways = dict(unfused=lambda: torch.ones(1), fused=lambda: torch.ones(2) @ torch.ones(3))
    unfused, fused = gpu_kernels.time_in_turn(ways, torch.device('cpu'))
    assert unfused['failure'] is None and 'RuntimeError' in fused['failure']
    assert 'milliseconds' not in fused


def test_each_stage_is_timed_forward_and_backward(monkeypatch):
    kernels = pytest.importorskip('mmrsir.models.kernels')
    shapes = []

    def attend(qkv, places, heads, window):
        shapes.append((*qkv.shape, heads, window))
        return qkv

    monkeypatch.setattr(kernels, 'attend_indexed', attend)
    monkeypatch.setattr(kernels, '_gradient', lambda grad, *rest: attend(*rest))
    rows = gpu_kernels.time_attention('nano', 224, 1, torch.float32, torch.device('cpu'))
    assert [row['stage'] for row in rows] == [one for one in (1, 2, 3, 4) for _ in range(4)]
    assert set(shapes) == {
        (1, 3136, 96, 2, 49), (1, 784, 192, 2, 49), (1, 196, 384, 4, 49), (1, 49, 768, 8, 49)
    }  # fmt: skip
