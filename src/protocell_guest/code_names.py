"""Which names code binds and hands to others, so that it is known what a name in it can mean."""

from __future__ import annotations

import ast
import builtins
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

# With these the code can bind names that do not stand in it.
_BINDING_NAMES = """
    __builtins__ __import__ compile delattr eval exec get_ipython globals locals setattr vars
"""
HIDDEN_BINDERS = frozenset(_BINDING_NAMES.split())

# By these the code gets hold of all names of a module.
_WAYS_TO_NAMES = frozenset(
    ("__dict__", "__globals__", "f_builtins", "f_globals", "f_locals", "modules")
)
_WORD = re.compile(r"\w+")

# What these are given, they leave as it is.
_HARMLESS_NAMES = """
    bool describe dir getattr hasattr help id isinstance iter len list print repr sorted str type
"""
_HARMLESS = frozenset(_HARMLESS_NAMES.split())


def bound(tree: ast.AST) -> set[str]:
    """Every name that the code binds in any scope."""
    return {name for node in ast.walk(tree) for name in _names(node)}


def bound_here(body: Iterable[ast.AST]) -> set[str]:
    """Names that these statements bind in the scope that they stand in."""
    return set(_bound_here(body))


def binds_unseen(tree: ast.AST) -> bool:
    """Whether the code may bind names that do not stand in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in HIDDEN_BINDERS:
            return True
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
    return False


def binds_elsewhere(tree: ast.AST) -> bool:
    """Whether the code gets at the namespaces of modules, its own among them, by another way than its names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _WAYS_TO_NAMES:
            return True
        if isinstance(node, ast.alias) and node.name in ("builtins", "__main__"):
            return True
    return False


def words_in_texts(tree: ast.AST) -> set[str]:
    """All words in the texts of the code: what reads one may bind it as a name."""
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {word for text in texts if isinstance(text, str) for word in _WORD.findall(text)}


def handed_on(tree: ast.AST) -> set[str]:
    """Names that others get hold of, or whose attributes are bound: what these are later is not certain."""
    seen: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=context):
                if not isinstance(context, ast.Load) or attribute.startswith("__"):
                    seen.add(name)
            case ast.Call(func=func, args=args, keywords=keywords):
                if not (isinstance(func, ast.Name) and func.id in _HARMLESS):
                    given = [*args, *(each.value for each in keywords)]
                    seen.update(each.id for each in given if isinstance(each, ast.Name))
            case ast.Assign(value=ast.Name(id=name)):
                seen.add(name)
    return seen


def handed_to_loop(tree: ast.AST) -> list[ast.expr]:
    """What is given to ``asyncio.run`` or to a loop's ``run_until_complete`` and would have to be awaitable.

    None in code that awaits: there a loop may run, and what is given be on its way.
    """
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        match node:
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                return []
            case ast.FunctionDef(name="run_until_complete") | ast.Name("asyncio", ast.Store()):
                return []
            case ast.alias(name=name, asname=other) if "asyncio" in (name, other):
                if (name, other or name) != ("asyncio", "asyncio"):
                    return []
            case ast.Call(func=ast.Attribute(ast.Name("asyncio"), "run"), args=[given, *_]):
                found.append(given)
            case ast.Call(func=ast.Attribute(attr="run_until_complete"), args=[given]):
                found.append(given)
    return found


def _names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in aliases)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case _ if type(node).__name__ in ("TypeVar", "TypeVarTuple", "ParamSpec"):  # from 3.12
            yield str(getattr(node, "name", ""))


def _bound_here(body: Iterable[ast.AST]) -> Iterator[str]:
    todo: list[tuple[ast.AST, bool]] = [(node, False) for node in body]
    while todo:
        node, in_comprehension = todo.pop()
        # In a comprehension only := binds a name outside of it.
        if isinstance(node, ast.NamedExpr):
            yield from _names(node.target)
        elif not in_comprehension:
            yield from _names(node)
        inside = in_comprehension or isinstance(node, _COMPREHENSIONS)
        todo.extend((child, inside) for child in _evaluated_here(node))


def _evaluated_here(node: ast.AST) -> Iterable[ast.AST]:
    """What of a node is run in the scope that it stands in."""
    if isinstance(node, ast.Lambda):
        return [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        defaults = [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
        return [*node.decorator_list, *defaults]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(each.value for each in node.keywords)]
    return ast.iter_child_nodes(node)
