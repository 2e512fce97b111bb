"""Config texts that come from strangers, inside checkpoints: whether they are nothing but data.

mmengine runs such a text as Python, and its registries import and call what the text names.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

FAMILY = ('mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmrsir', 'mmseg')
# A name with more dots than one is looked up in any module: `type='subprocess.run'`.
REGISTERED = re.compile(
    rf'\w+|({"|".join(FAMILY)})\.[A-Z]\w*|mmrsir\.engine\.strategies\.fsdp\.FSDP2Strategy', re.ASCII
)
# mmengine runs what these hold when it reads them.
CODE_FILES = ('.py', '.pkl', '.pickle', '.yaml', '.yml')


def find_code(text: str) -> str | None:
    """Return what makes a config's text more than plain data, for a message; None if nothing."""
    if '{{' in text:  # replaced in the text before it is parsed, even where it ends a string
        return 'a substitution {{…}}'
    try:
        settings = read_settings(text)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        return 'more than assignments of plain values'
    if '_base_' in settings:
        return '_base_'
    imports = settings.get('custom_imports') or {}
    names = imports.get('imports', []) if isinstance(imports, dict) else imports
    for name in names if isinstance(names, list) else [names]:
        if str(name).split('.')[0] not in FAMILY:
            return f'an import of {name!r}'
    for key, value in _items(settings):
        if key == 'type' and isinstance(value, str) and not REGISTERED.fullmatch(value):
            return f'type={value!r}, which may be any function'
        if key == 'trust_remote_code':
            return key
        if isinstance(value, str) and value.endswith(CODE_FILES):
            return f'{value!r}, a file that may hold code'
    return None


def read_settings(text: str) -> dict[str, Any]:
    """Read a config's text without running it; ValueError if it is more than plain values."""
    settings = {}
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                settings[name] = ast.literal_eval(_DictCalls().visit(value))
            case _:
                raise ValueError(f'line {statement.lineno} is no assignment to a name')
    return settings


class _DictCalls(ast.NodeTransformer):
    """Turns ``dict(name=value)`` and ``dict({'name': value})`` into literals."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Visit a call; those of others stay, and are no literals."""
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id='dict'), args=[], keywords=keywords):
                keys: list[ast.expr | None] = [
                    ast.Constant(keyword.arg) if keyword.arg else None for keyword in keywords
                ]
                return ast.Dict(keys=keys, values=[keyword.value for keyword in keywords])
            case ast.Call(func=ast.Name(id='dict'), args=[ast.Dict() as display], keywords=[]):
                return display
        return node


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each value inside a value, and its key if it has one."""
    pairs: Iterator[tuple[Any, Any]]
    match value:
        case dict():
            pairs = iter(value.items())
        case list() | tuple() | set():
            pairs = ((None, one) for one in value)
        case _:
            return
    for key, one in pairs:
        yield key, one
        yield from _items(one)
