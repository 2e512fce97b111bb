"""What MkDocs does to the pages beyond the settings in mkdocs.yml."""

import re
from html import escape
from itertools import count
from typing import Any

ROLES = re.compile(r':(?:attr|class|data|func|meth|mod):(?=<code>)')
TABLE = re.compile(r'<table>.*?</table>', re.DOTALL)
HEADING = re.compile(r'<th\b[^>]*>(.*?)</th>', re.DOTALL)
ROW = re.compile(r'<tr>.*?</tr>', re.DOTALL)
WIDE = 4  # columns that a phone cannot show side by side


def on_page_content(html: str, **kwargs: Any) -> str:
    """Adapt a page.

    Names in docstrings lose Sphinx's roles, which Markdown does not know. Wide tables carry their
    headings in each cell: on a phone, a style sheet makes each row a list.
    """
    return TABLE.sub(_label_cells, ROLES.sub('', html))


def _label_cells(table: re.Match[str]) -> str:
    headings = [re.sub('<[^>]+>', '', text) for text in HEADING.findall(table[0])]
    if len(headings) < WIDE:
        return table[0]

    def label(row: re.Match[str]) -> str:
        column = count()
        return re.sub(
            r'<td\b', lambda _: f'<td data-label="{escape(headings[next(column)])}"', row[0]
        )

    return ROW.sub(label, table[0]).replace('<table>', '<table data-wide>', 1)
