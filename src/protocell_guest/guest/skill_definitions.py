"""Finds the text in which the code has defined something: in its cells, or in a file of its workspace."""

from __future__ import annotations

import ast
import builtins
import dis
import linecache
import re
import sys
import textwrap
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from protocell_guest.plan import HOME

if TYPE_CHECKING:
    from collections.abc import Iterator

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_CELL = re.compile(r"<cell (\d+)>")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOADS = frozenset(("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"))


class Definition(NamedTuple):
    """A statement of the code's that defines something."""

    text: str
    """Whole lines, not indented."""
    node: ast.stmt


def is_own_module(name: object) -> bool:
    """Whether that is a module of the code's: ``__main__``, or a file in the workspace."""
    if name == "__main__":
        return True
    file = getattr(sys.modules.get(name), "__file__", None) if type(name) is str else None
    return type(file) is str and file.startswith(f"{HOME}/")


def of_function(function: FunctionType) -> Definition | None:
    """Where this function was defined; None where its text is not known any more."""
    code = function.__code__
    for found in _statements(code.co_filename, everywhere=True):
        if isinstance(found, _FUNCTIONS) and found.name == code.co_name:
            first = min([found.lineno, *(each.lineno for each in found.decorator_list)])
            if first == code.co_firstlineno:
                return _cut(code.co_filename, found)
    return None


def of_class(thing: type) -> Definition | None:
    """Where this class was defined; of several definitions of that name, the latest."""
    for filename in [*_files_of_methods(thing), *_files_of(thing.__module__)]:
        for found in _statements(filename):
            if isinstance(found, ast.ClassDef) and found.name == thing.__name__:
                return _cut(filename, found)
    return None


def of_name(name: str, module: str) -> Definition | None:
    """The latest statement at the top level of a module's text that does nothing but to bind this name."""
    for filename in _files_of(module):
        for found in _statements(filename):
            if isinstance(found, ast.Assign) and len(found.targets) == 1:
                target: ast.expr = found.targets[0]
            elif isinstance(found, ast.AnnAssign) and found.value is not None:
                target = found.target
            else:
                continue
            if isinstance(target, ast.Name) and target.id == name:
                return _cut(filename, found)
    return None


def names_in(text: str, *, futures: int) -> list[str]:
    """The names of the module that running this text looks for, in order; attributes are none of these."""
    code = compile(text, "<skill>", "exec", flags=futures, dont_inherit=True)
    return list(dict.fromkeys(_loaded(code)))


def attributes_in(node: ast.AST, name: str) -> Iterator[str]:
    """What is looked up in this name: ``path.join`` of ``os.path.join``, where the name is ``os``."""
    for each in ast.walk(node):
        parts: list[str] = []
        while isinstance(each, ast.Attribute):
            parts.insert(0, each.attr)
            each = each.value  # noqa: PLW2901
        if parts and isinstance(each, ast.Name) and each.id == name:
            yield ".".join(parts)


def _loaded(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _loaded(constant)


def _files_of(module: Any) -> list[str]:
    """Where the text of this module stands, the latest first."""
    if module != "__main__":
        file = getattr(sys.modules.get(module), "__file__", None)
        return [file] if type(file) is str else []
    cells = [name for name in linecache.cache if type(name) is str and _CELL.fullmatch(name)]
    return sorted(cells, key=lambda name: int(name[6:-1]), reverse=True)


def _files_of_methods(thing: type) -> list[str]:
    functions = [each for each in vars(thing).values() if type(each) is FunctionType]
    names = [each.__code__.co_filename for each in functions if each.__module__ == thing.__module__]
    return [name for name in dict.fromkeys(names) if linecache.getlines(name)][:1]


def _statements(filename: str, *, everywhere: bool = False) -> Iterator[ast.stmt]:
    """The statements of a file or cell, the last first; of the top level, unless they are wanted from everywhere."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    if everywhere:
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    else:
        yield from reversed(tree.body)


def _cut(filename: str, node: ast.stmt) -> Definition:
    lines = linecache.getlines(filename)
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    last = node.end_lineno or node.lineno
    if isinstance(node, ast.Assign | ast.AnnAssign):  # others may stand on the same line
        return Definition(ast.get_source_segment("".join(lines), node) or "", node)
    return Definition(textwrap.dedent("".join(lines[first - 1 : last])).rstrip() + "\n", node)
