"""The paper's figures and ours stand side by side, and the documents hold them."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import paper_report
import pytest
import torch
from documents import TABLES as DOCUMENTS
from documents import marks, replace_table, with_tables
from paper import rows as paper
from paper import tables, throughput
from paper.rows import Cost
from paper.throughput import Speed, Throughput
from speed.subjects import Subject

from mmrsir.utils.errors import UserError, plain_errors

from ..helpers.commands import ROOT

TABLES = {table: paper.read_rows(ROOT, table) for table in paper.EXPERIMENTS}
ROWS = [row for rows in TABLES.values() for row in rows]
SPEED = Speed(images_per_second=8.0, spread=0.02, ratio=0.74, lower=0.72, upper=0.76)
COST = Cost(30_450_000, 4_500_000_000)
ENTRY = {'Metadata': {'Training Resources': 'a GPU', 'Image Size': '224 x 224'}}
BEGIN, END = marks('table')
MARKED = f'before\n{BEGIN}\n{{}}{END}\nafter\n'


def test_published_tables_are_complete():
    numbers = {table: len(rows) for table, rows in TABLES.items()}
    assert numbers == {2: 16, 3: 15, 4: 10, 5: 10, 6: 11, 7: 7}  # RSIR-B in both ways
    metrics = {2: 1, 3: 6, 4: 1, 5: 1, 6: 2, 7: 3}
    for row in ROWS:
        dashes = 4 if (row.table, row.model) == (3, 'Swin-B') else 0
        assert len(row.published_accuracy) == metrics[row.table] - dashes, row.model
        published = [name for name in row.metadata if name.startswith(paper.PUBLISHED)]
        assert len(published) == (0 if row.table == 7 else 2), row.model


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row.table} {row.model}')
def test_configs_of_a_row_have_the_same_published_figures(row):
    networks = [*row.entries.values()]
    if row.model == 'RSIR-B (36 blocks)':
        others = [one for one in TABLES[row.table] if one.model == 'RSIR-B (24 blocks)']
        networks += others[0].entries.values()
    for name, value in row.published_accuracy.items():
        found = [dict(paper.metrics(one)).get(f'{paper.PUBLISHED}{name}') for one in networks]
        assert set(found) <= {value, None} if row.table == 7 else set(found) == {value}


@pytest.mark.parametrize('table', TABLES)
def test_costs_that_differ_and_only_these_have_a_reason(table):
    differing = [
        row.model
        for row in TABLES[table]
        for figure in tables.cost_figures(row, row.cost)
        if figure.published is not None and abs(figure.difference) > paper.TOLERANCE
    ]
    assert list(paper.read_notes(ROOT, table)) == list(dict.fromkeys(differing))


@pytest.mark.parametrize('document', DOCUMENTS)
def test_documents_hold_what_is_known(document):
    hint = 'run benchmarks/paper_report.py --update'
    assert (ROOT / document).read_text() == with_tables(document, ROOT), hint


def test_the_tables_have_all_rows():
    models = re.findall(
        r'^\| (.+?)(?:, 384 x 384)? \| [\d-]', tables.paper_tables(ROOT), re.MULTILINE
    )
    assert models == [row.model for row in ROWS]


@pytest.mark.parametrize('model', ['RSIR-T', 'ViT-B'])
def test_models_are_counted_at_the_image_size_of_the_row(model):
    (row,) = (row for row in TABLES[2] if row.model == model)
    assert paper.count(row) == row.cost


def test_a_model_that_cannot_be_counted_has_the_reason(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("default_scope = 'mmpretrain'\nmodel = dict(type='NoSuchModel')\n")
    assert 'NoSuchModel' in paper.count(ROWS[0]._replace(entries={config: ENTRY}))


def entry(**metrics: float) -> dict:
    names = {name.replace('_', ' '): value for name, value in metrics.items()}
    return {**ENTRY, 'Results': [{'Dataset': 'real images', 'Metrics': names}]}


def test_measured_accuracy_is_listed_with_its_config():
    entries = {
        'first': entry(Published_mIoU=3.0),
        'second': entry(Top_1_Accuracy=1.0, Published_Top_1_Accuracy=3.0),
        'third': entry(mIoU=2.0, mAcc=4.0),
    }

    def reached(*names):
        return paper.PaperRow(2, '', {Path(one): entries[one] for one in names}).measured_accuracy

    assert reached('first') == 'not measured'
    assert reached('first', 'second') == 'top-1 1.0 [second]'
    assert reached('second', 'third') == 'top-1 1.0 [second]; mIoU 2.0, mAcc 4.0 [third]'


def test_all_that_was_measured_and_nothing_else_is_in_the_table(tmp_path):
    (tmp_path / 'model-index.yml').write_text('Import: [metafile.yml]')
    models = [
        {**entry(mIoU=2.0, mAcc=4.0), 'Config': 'configs/cls/measured.py'},
        {**entry(Published_mIoU=3.0), 'Config': 'configs/cls/published.py'},
        {**ENTRY, 'Config': 'configs/cls/neither.py'},
    ]
    (tmp_path / 'metafile.yml').write_text(json.dumps({'Models': models}))
    assert tables.measured_table(tmp_path).splitlines()[2:] == [
        '| `cls/measured` | real images | mIoU 2.0, mAcc 4.0 | a GPU |'
    ]


@pytest.fixture
def three_rows():
    """Rows of Table 2: a usual one, ours, one of another image size."""
    chosen = {row.model: row for row in TABLES[2]}
    return [chosen[model] for model in ('Swin-T', 'RSIR-T', 'ViT-B')]


def test_a_table_sets_published_figures_beside_ours(three_rows):
    costs = [COST, 'NoMemory: 1 GiB', COST]
    speeds = Throughput({'Swin-T': SPEED, 'ViT-B': 'NoKernel'}, 'batch 4, today')
    notes = {'Swin-T': 'a reason.', 'RSIR-T': 'another.', 'ViT-B': 'a reason.'}
    lines = tables.render(three_rows, costs, notes, speeds).splitlines()
    assert lines[:2] == ['### Table 2: ImageNet-1K, 224 x 224', '']
    assert ' | throughput (RSIR-T: 1) | ' in lines[2]
    accuracy = '| top-1 {} | not measured |'
    assert lines[4] == (
        '| Swin-T | 29 M | 30.4 M (+5.0 %) | 4.5 G | 4.5 G (+0.0 %) '
        '| 0.74x (0.72 to 0.76) ' + accuracy.format(81.3)
    )
    assert lines[5] == (
        '| RSIR-T | 22 M | NoMemory: 1 GiB | 5.0 G | NoMemory: 1 GiB | not measured '
        + accuracy.format(83.9)
    )
    assert lines[6].startswith('| ViT-B, 384 x 384 | 86 M | 30.4 M (-64.6 %) | 55.4 G | ')
    assert lines[6].endswith('| NoKernel ' + accuracy.format(77.9))
    assert lines[7:] == [
        '',
        'Throughput: batch 4, today.',
        '',
        'Why costs differ by more than 5 %:',
        '',
        '- Swin-T, ViT-B: a reason.',
        '- RSIR-T: another.',
    ]


def test_a_table_without_throughput_has_no_such_column(three_rows):
    assert 'hroughput' not in tables.render(three_rows, [COST] * 3, {})


@pytest.mark.parametrize('flops', [4_499_000_000, 4_501_000_000])
def test_a_difference_that_rounds_to_zero_has_no_minus(flops):
    row = next(row for row in TABLES[2] if row.model == 'Swin-T')
    _, figure = tables.cost_figures(row, Cost(1, flops))
    assert figure.cells()[1] == '4.5 G (+0.0 %)'


@pytest.mark.parametrize('table', [4, 5])
def test_tables_with_the_networks_of_table_2_point_to_its_throughput(table):
    rows = TABLES[table]
    text = tables.render(rows, [COST] * len(rows), {})
    assert text.endswith('Throughput: see Table 2, which has the same networks.')


def test_models_take_turns_each_at_its_image_size(three_rows, monkeypatch):
    swin, rsir, vit = three_rows
    rows = [
        swin,
        rsir,
        vit._replace(model='broken', entries={'broken': {'Metadata': vit.metadata}}),
        vit,
    ]
    ran = []

    def build(name, case):
        if name == 'config:broken':
            raise ValueError('no such config')
        assert (case.step, case.batch, case.precision) == ('forward', 6, 'fp32')

        def module():
            assert torch.is_inference_mode_enabled()
            ran.append(case.height)

        return Subject(module, backward=None)

    monkeypatch.setattr(throughput, 'build', build)
    monkeypatch.setattr(throughput, 'TURN_SECONDS', 0)
    seconds = iter([9, 9, 9, 1, 2, 3, 4, 3, 3])  # the first round does not count
    monkeypatch.setattr(throughput, 'stopwatch', lambda device: lambda run: run() or next(seconds))
    speeds = throughput.measure(rows, 6, 'fp32', 'cpu', 1, 2)
    assert ran == [224, 224, 384, 224, 384, 224, 384, 224, 224]
    assert speeds == {
        # Times of the two rounds: Swin-T 3 and 3, RSIR-T 1 and 3, ViT-B 2 and 4.
        'Swin-T': pytest.approx((6 / 3, 0, 2 / 3, 0.5, 5 / 6)),
        'RSIR-T': pytest.approx((6 / 2, 0.5, 1, 1, 1)),
        'broken': 'ValueError: no such config',
        'ViT-B': pytest.approx((6 / 3, 1 / 3, 0.625, 0.5625, 0.6875)),
    }


def test_without_the_reference_nothing_is_compared(three_rows, monkeypatch):
    def build(name, case):
        raise ValueError(f'no {case.height}')

    rows = [row._replace(entries={row.model: {'Metadata': row.metadata}}) for row in three_rows]
    monkeypatch.setattr(throughput, 'build', build)
    speeds = throughput.measure(rows, 6, 'fp32', 'cpu', 1, 2)
    assert speeds['RSIR-T'] == 'ValueError: no 224' and speeds['ViT-B'] == 'ValueError: no 384'


@pytest.fixture
def records(tmp_path):
    """A repository without recorded throughput."""
    (tmp_path / 'docs').mkdir()
    (tmp_path / throughput.RECORDED).write_text(f'{",".join(throughput.COLUMNS)}\n')
    return tmp_path


def test_recording_replaces_a_table_and_leaves_out_what_failed(records):
    assert throughput.read_recorded(records) == {}
    throughput.record(records, 7, Throughput({'RSIR': SPEED}, 'batch 4, "x"'), 9)
    throughput.record(records, 2, Throughput({'RSIR-T': SPEED, 'DeiT-S': SPEED}, 'old'), 9)
    exact = SPEED._replace(images_per_second=1234.56)
    throughput.record(records, 2, Throughput({'RSIR-T': exact, 'ViT-B': 'failed'}, 'new'), 9)
    recorded = throughput.read_recorded(records)
    assert recorded == {
        2: Throughput({'RSIR-T': SPEED._replace(images_per_second=1235.0)}, 'new'),
        7: Throughput({'RSIR': SPEED}, 'batch 4, "x"'),
    }
    assert list(recorded) == [2, 7]


def test_the_error_of_a_ratio_is_that_of_simulated_medians():
    generator = np.random.default_rng(0)
    times = 10 + generator.normal(size=(2, 20_000, 9))
    ratios = np.median(times[0], axis=1) / np.median(times[1], axis=1)
    assert throughput.standard_error(1.349 / 10, 9) == pytest.approx(ratios.std(), rel=0.05)


@pytest.mark.parametrize(
    ('reference', 'message'),
    [
        (SPEED._replace(spread=0.2), 'RSIR-T lie 20% .* 9 rounds .* error of 9%, allowed is 6%'),
        ('NoMemory', 'RSIR-T, to which all others are compared, failed: NoMemory'),
    ],
)
def test_what_cannot_be_compared_is_not_recorded(records, reference, message):
    before = (records / throughput.RECORDED).read_text()
    with pytest.raises(ValueError, match=message):
        throughput.record(records, 2, Throughput({'Swin-T': SPEED, 'RSIR-T': reference}), 9)
    assert (records / throughput.RECORDED).read_text() == before


def test_only_what_stands_between_the_marks_is_replaced():
    replaced = replace_table(MARKED.format('old\n'), 'table', 'new')
    assert replaced == MARKED.format('new\n')
    assert replace_table(replaced, 'table', 'new') == replaced


@pytest.mark.parametrize(
    'text',
    [
        '',
        BEGIN,
        f'{END}{BEGIN}',
        f'{BEGIN}{BEGIN}{END}',
        f'{BEGIN}{END}{END}',
    ],
)
def test_a_document_without_both_marks_is_refused(text):
    with pytest.raises(ValueError, match='once each'):
        replace_table(text, 'table', 'new')


@pytest.fixture
def report(monkeypatch, tmp_path):
    """The tool's main function in a copy of the documents, without the time that models take."""
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'model-index.yml').symlink_to(ROOT / 'model-index.yml')
    for name in (paper.NOTES, throughput.RECORDED, *DOCUMENTS):
        shutil.copy(ROOT / name, tmp_path / name)

    def measure(rows, *settings):
        return {
            row.model: SPEED._replace(images_per_second=float(place))
            for place, row in enumerate(rows, start=1)
        }

    for name, value in (('ROOT', tmp_path), ('count', lambda row: COST), ('measure', measure)):
        monkeypatch.setattr(paper_report, name, value)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['paper_report.py', *arguments])
        paper_report.main()
        return tmp_path

    return call


def test_tool_prints_one_table(report, capsys):
    report('--table', '6', '--no-throughput')
    table = tables.render(TABLES[6], [COST] * 11, paper.read_notes(ROOT, 6))
    assert capsys.readouterr().out == f'{table}\n\n'


def test_tool_times_and_keeps_nothing_unless_told(report, capsys):
    root = report('--table', '7', '--batch', '3')
    printed = capsys.readouterr().out
    assert ' | 0.74x (0.72 to 0.76) | ' in printed
    assert 'Throughput: batch 3, fp32, median and quartiles of 5 rounds; ' in printed
    assert throughput.read_recorded(root) == throughput.read_recorded(ROOT)


def test_tool_writes_what_it_recorded_into_the_document(report):
    report('--table', '7', '--record')
    root = report('--update')
    recorded = throughput.read_recorded(root)[7]
    assert [one.images_per_second for one in recorded.speeds.values()] == [1, 2, 3, 4, 5, 6, 7]
    assert recorded.setting.startswith('batch 4, fp32, ')
    known = tables.paper_tables(root)
    assert ' | 0.74x (0.72 to 0.76) | ' in known
    assert known in (root / 'docs/paper.md').read_text()


def test_tool_says_what_it_does_not_record(report, monkeypatch, capsys):
    monkeypatch.setattr(throughput, 'MAX_ERROR', 0.001)
    with pytest.raises(UserError, match='Table 7 is not recorded: the quartiles of the times'):
        report('--table', '7', '--record')
    assert ' | 0.74x (0.72 to 0.76) | ' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--table', '2', '--update'], 'not allowed with --table'),
        (['--record', '--no-throughput'], 'not allowed with'),
        (['--record', '--table', '4'], 'Table 4 has the networks of Table 2'),
        (['--batch', '0'], '--batch=0 must be at least 1'),
        (['--table', '8'], 'invalid choice: 8'),
    ],
)
def test_tool_refuses_what_it_cannot_do(report, capsys, arguments, message):
    with pytest.raises(SystemExit), plain_errors():
        report(*arguments)
    assert message in capsys.readouterr().err
