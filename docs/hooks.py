"""What MkDocs does to the pages beyond the settings in mkdocs.yml."""

import re
from typing import Any

ROLES = re.compile(r':(?:attr|class|data|func|meth|mod):(?=<code>)')


def on_page_content(html: str, **kwargs: Any) -> str:
    """Leave the names in docstrings without Sphinx's roles, which Markdown does not know."""
    return ROLES.sub('', html)
