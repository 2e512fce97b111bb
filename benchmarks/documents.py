"""The tables of the documents, which are written from metafiles and CSV files."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ablation.accuracy_table import markdown
from ablation.results import read_csv
from paper.rows import NOT_MEASURED
from paper.tables import measured_table, paper_tables


def _ablation(name: str, root: Path) -> str:
    """Return the table of a CSV file that ablate.py wrote."""
    file = root / 'docs' / name
    return markdown(read_csv(file)) if file.exists() else f'{NOT_MEASURED.capitalize()}.'


# By document, what stands between the marks of a name.
TABLES: Mapping[str, Mapping[str, Callable[[Path], str]]] = {
    'docs/paper.md': {'paper': paper_tables, 'measured': measured_table},
    'docs/ablation.md': {
        name: partial(_ablation, name)
        for name in (
            'ablation_tinyimagenet.csv',
            'ablation_windows_pairs.csv',
            'ablation_windows_digits.csv',
        )
    },
}


def marks(name: str) -> tuple[str, str]:
    """Return the lines of a document between which a table stands."""
    return (
        f'<!-- {name}: written by python benchmarks/paper_report.py --update -->',
        f'<!-- end of {name} -->',
    )


def with_tables(document: str, root: Path) -> str:
    """Return the text of a document with its tables as they are to be."""
    text = (root / document).read_text()
    for name, table in TABLES[document].items():
        text = replace_table(text, name, table(root))
    return text


def replace_table(text: str, name: str, table: str) -> str:
    """Return a text with another table between the :func:`marks` of a name."""
    begin, end = marks(name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest or end in after:
        raise ValueError(f'the document must hold once each, in this order: {begin} and {end}')
    return f'{before}{begin}\n{table}\n{end}{after}'
