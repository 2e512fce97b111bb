"""The paper's figures and ours stand side by side, and the documents hold them."""

import csv
import re
import runpy
import shutil
import sys
from collections import Counter

import pytest

from mmrsir.analysis import paper

from ..test_engine.commands import ROOT

DOCUMENTS = ('README.md', 'docs/paper.md')
ROWS = paper.read_rows(ROOT, paper.EXPERIMENTS)
HEAD = '"""A model.\n\nCost       much\nMeasured   {}\n"""\n'


def table_of(document):
    """The lines that stand between the marks."""
    text = (ROOT / document).read_text()
    return text.partition(paper.BEGIN)[2].partition(paper.END)[0].strip().splitlines()


def test_published_tables_are_complete():
    with (ROOT / paper.PUBLISHED).open(newline='') as file:
        rows = list(csv.DictReader(file))
    numbers = Counter(int(row['table']) for row in rows)
    assert numbers == {2: 15, 3: 14, 4: 9, 5: 9, 6: 10, 7: 7}
    assert len({(row['table'], row['system']) for row in rows}) == len(rows)
    metrics = {'2': 1, '3': 6, '4': 1, '5': 1, '6': 2, '7': 3}
    for row in rows:
        given = [name for name in paper.METRICS if row[name]]
        dashes = 4 if (row['table'], row['system']) == ('3', 'Swin-B') else 0
        assert len(given) == metrics[row['table']] - dashes, row
        costs = [row[name] for name in ('height', 'width', 'params_m', 'flops_g')]
        assert all(costs) or (row['table'] == '7' and not any(costs)), row


def test_every_table_has_both_models_and_both_readings_of_the_larger():
    models = [model for readings in paper.MODELS.values() for model in readings.values()]
    assert [row.model for row in ROWS] == models * len(paper.EXPERIMENTS)


@pytest.mark.parametrize('table', paper.EXPERIMENTS)
def test_documents_hold_what_is_measured(table):
    lines = [paper.markdown(row) for row in paper.read_rows(ROOT, [table])]
    for document in DOCUMENTS:
        written = [line for line in table_of(document) if f'(Table {table})' in line]
        assert written == lines, 'run tools/analysis_tools/paper_report.py --update'


@pytest.mark.parametrize('document', DOCUMENTS)
def test_documents_hold_the_whole_table_and_nothing_else(document):
    table = table_of(document)
    assert '\n'.join(table[:2]) == paper.HEADER
    assert [line.split(' | ')[:2] for line in table[2:]] == [
        [f'| {row.experiment}', row.model] for row in ROWS
    ]


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row.experiment} {row.model}')
def test_config_heads_publish_what_the_table_does(row):
    for config in row.configs:
        published = paper.head_line(config, 'Published')
        assert f'(Table {row.published["table"]};' in published.replace(')', ';')
        figures = re.findall(r'\d+\.\d', published)
        assert figures and set(figures) <= set(row.published_accuracy.values()), config


def test_measured_accuracy_comes_from_the_heads(tmp_path):
    for name, result in [
        ('first', 'not measured'),
        ('second', 'top-1 1.0\n           (2 GPUs)'),
        ('third', 'top-1 2.0'),
    ]:
        (tmp_path / f'{name}.py').write_text(HEAD.format(result))
    first, second, third = (tmp_path / f'{name}.py' for name in ('first', 'second', 'third'))
    assert paper.measured_accuracy([first]) == 'not measured'
    assert paper.measured_accuracy([first, second]) == 'top-1 1.0 (2 GPUs) [second]'
    assert paper.measured_accuracy([second, third]) == (
        'top-1 1.0 (2 GPUs) [second]; top-1 2.0 [third]'
    )


def test_a_head_without_the_line_is_refused(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('"""A model.\n\nMeasuredly   1\n"""\nMeasured = 3\n')
    with pytest.raises(ValueError, match=r"config\.py has no line 'Measured'"):
        paper.head_line(config, 'Measured')


def test_only_what_stands_between_the_marks_is_replaced():
    document = f'before\n{paper.BEGIN}\nold\n{paper.END}\nafter\n'
    replaced = paper.replace_table(document, 'new')
    assert replaced == f'before\n{paper.BEGIN}\nnew\n{paper.END}\nafter\n'
    assert paper.replace_table(replaced, 'new') == replaced


@pytest.mark.parametrize(
    'text',
    [
        '',
        paper.BEGIN,
        f'{paper.END}{paper.BEGIN}',
        f'{paper.BEGIN}{paper.BEGIN}{paper.END}',
        f'{paper.BEGIN}{paper.END}{paper.END}',
    ],
)
def test_a_document_without_both_marks_is_refused(text):
    with pytest.raises(ValueError, match='once each'):
        paper.replace_table(text, 'new')


@pytest.fixture
def report(monkeypatch):
    """The tool's main function, on models that cost nothing."""
    monkeypatch.setattr(paper, 'markdown', lambda row: f'| {row.experiment} | {row.model} |')
    main = runpy.run_path(str(ROOT / 'tools/analysis_tools/paper_report.py'))['main']

    def call(*arguments, root=ROOT):
        monkeypatch.setattr(sys, 'argv', ['paper_report.py', *arguments])
        monkeypatch.setitem(main.__globals__, 'ROOT', root)
        main()

    return call


def test_tool_prints_one_table(report, capsys):
    report('--table', '6')
    lines = capsys.readouterr().out.splitlines()
    assert '\n'.join(lines[:2]) == paper.HEADER
    experiment = '| UperNet, ADE20K, 512 x 2048 (Table 6) |'
    models = ['RSIR-T', 'RSIR-B (24 blocks)', 'RSIR-B (36 blocks)']
    assert lines[2:] == [f'{experiment} {model} |' for model in models]


def test_tool_writes_the_same_table_into_both_documents(report, tmp_path):
    (tmp_path / 'docs').mkdir()
    shutil.copy(ROOT / paper.PUBLISHED, tmp_path / 'docs')
    for document in DOCUMENTS:
        (tmp_path / document).write_text(f'{document}\n{paper.BEGIN}\n{paper.END}\n')
    report('--update', root=tmp_path)
    table = '\n'.join([paper.HEADER, *map(paper.markdown, ROWS)])
    for document in DOCUMENTS:
        expected = f'{document}\n{paper.BEGIN}\n{table}\n{paper.END}\n'
        assert (tmp_path / document).read_text() == expected


def test_tool_does_not_update_with_a_part(report, capsys):
    with pytest.raises(SystemExit):
        report('--table', '2', '--update')
    assert 'not allowed with' in capsys.readouterr().err
