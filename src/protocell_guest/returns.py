"""Lets code end with ``return``: its value becomes the value of the code, as if the code were a function.

Models write code as the body of a function where they were told that it is called. Python parses ``return`` at the top
level and refuses it only when it compiles, so that the syntax tree can be changed in between; lines and columns stay.

A ``return`` that is the last statement becomes an expression. Where one stands in an ``if``, a loop or the middle, the
statements from there on become the body of a function that is called at once. All names that they bind are declared
``global`` in it, so that they live on as they would otherwise; the function itself is gone when its body begins.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

from protocell_guest.code_names import bound_here

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

NAME = "<returning>"
"""Of the function, in tracebacks; no identifier, so that no name of the code's is taken."""
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def accept(tree: ast.Module) -> ast.Module:
    """The same tree without ``return`` at its top level; it is changed where it has one."""
    first = next((place for place, each in enumerate(tree.body) if _returns([each])), None)
    if first is None:
        return tree
    rest = tree.body[first:]
    last = rest[-1]
    if len(rest) == 1 and isinstance(last, ast.Return):
        tree.body[first:] = [_as_expression(last)]
    elif not any(map(_is_for_modules_only, _own_nodes(rest))):
        tree.body[first:] = _as_function(rest)
    return tree


def _as_expression(last: ast.Return) -> ast.stmt:
    value = last.value or ast.copy_location(ast.Constant(None), last)
    return ast.copy_location(ast.Expr(value), last)


def _as_function(body: list[ast.stmt]) -> list[ast.stmt]:
    names = sorted(bound_here(body) | {NAME})
    awaits = any(isinstance(each, _AWAITS) or _is_async(each) for each in _own_nodes(body))
    # compile() takes a name that no source can have. The annotations would contradict "global".
    plain = [_WithoutAnnotations().visit(each) for each in body]
    start: list[ast.stmt] = [ast.Global(names), ast.Delete([ast.Name(NAME, ast.Del())])]
    kind = ast.AsyncFunctionDef if awaits else ast.FunctionDef
    nothing = ast.arguments(
        posonlyargs=[], args=[], vararg=None, kwonlyargs=[], kw_defaults=[], kwarg=None, defaults=[]
    )
    function = kind(name=NAME, args=nothing, body=[*start, *plain], decorator_list=[])
    if "type_params" in kind._fields:  # from 3.12
        vars(function)["type_params"] = []
    call: ast.expr = ast.Call(ast.Name(NAME, ast.Load()), [], [])
    shown = ast.Expr(ast.Await(call) if awaits else call)
    for made, place in ((function, body[0]), (shown, body[-1])):
        ast.copy_location(made, place)
        ast.fix_missing_locations(made)
    return [function, shown]


def _is_async(node: ast.AST) -> bool:
    return isinstance(node, ast.comprehension) and bool(node.is_async)


def _returns(body: Sequence[ast.AST]) -> bool:
    return any(isinstance(node, ast.Return) for node in _own_nodes(body))


def _is_for_modules_only(node: ast.AST) -> bool:
    """Whether it would be refused in a function, or make a generator of it: then the compiler has its say."""
    if isinstance(node, ast.ImportFrom):
        return any(alias.name == "*" for alias in node.names)
    return isinstance(node, ast.Yield | ast.YieldFrom)


def _own_nodes(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes but those of functions and classes inside; comprehensions belong to what they stand in."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _SCOPES):
            todo.extend(ast.iter_child_nodes(node))


class _WithoutAnnotations(ast.NodeTransformer):
    """``x: int = 1`` as ``x = 1``, outside of functions and classes."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name):
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit(self, node: ast.AST) -> Any:
        """Leave functions and classes as they are."""
        return node if isinstance(node, _SCOPES) else super().visit(node)
