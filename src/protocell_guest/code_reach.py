"""Which expressions and imports are reached whenever code runs, and which perhaps: found without running it.

Sure is what Python cannot leave out: not what stands under a condition, after a way out, in a function that is not
surely mentioned, or where an error would be caught or become a value. A loop is taken to have something to do. Python
never gets to what stands under a constant that is false or behind a ``return``, so that is left out.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Node = ast.expr | ast.ImportFrom

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor)
_WITHS = (ast.With, ast.AsyncWith)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_TRIES = tuple(getattr(ast, name) for name in ("Try", "TryStar"))
_WAYS_OUT = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_MOST_ROUNDS = 20
"""Of functions that are mentioned in functions only; what is further away is not sure."""
_ENDERS = frozenset(("exit", "quit", "_exit", "abort"))
# Context managers that let errors through.
_OPEN_ENDED_NAMES = """
    open TaskGroup ThreadPoolExecutor ProcessPoolExecutor Pool timeout TemporaryDirectory NamedTemporaryFile ZipFile
    Semaphore Lock redirect_stdout redirect_stderr closing
"""
_OPEN_ENDED = frozenset(_OPEN_ENDED_NAMES.split())


def reached(tree: ast.Module) -> Iterator[tuple[Node, bool]]:
    """Every expression and ``from`` import that may be reached, outer ones first, and whether it surely is."""
    return _Walk(tree).whole()


class _Walk:
    def __init__(self, tree: ast.Module) -> None:
        nodes = list(ast.walk(tree))
        self._tree = tree
        # A function may be called from where its errors are caught.
        self._catches = any(_catches(node) for node in nodes)
        # As of asyncio.gather, whose awaitables may have been made anywhere.
        self._swallows = any(
            isinstance(node, ast.keyword) and node.arg == "return_exceptions" for node in nodes
        )
        self._mentioned: set[str] = set()
        functions = {
            node.name
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not self._catches
        }
        for _ in range(_MOST_ROUNDS if functions else 0):
            mentioned = {_mention(node) for node, sure in self.whole() if sure} & functions
            if mentioned == self._mentioned:
                break
            self._mentioned = mentioned

    def whole(self) -> Iterator[tuple[Node, bool]]:
        """All of the code."""
        return self.block(self._tree.body, sure=not self._swallows)

    def block(self, body: Iterable[ast.stmt], *, sure: bool) -> Iterator[tuple[Node, bool]]:
        for statement in body:
            yield from self._statement(statement, sure=sure)
            if _ends_all(statement):
                return
            sure = sure and not _may_end(statement)

    def _statement(self, node: ast.stmt, *, sure: bool) -> Iterator[tuple[Node, bool]]:
        if isinstance(node, ast.If | ast.While):
            yield from self._condition(node, sure=sure)
        elif isinstance(node, _LOOPS):
            yield from self.expression(node.iter, sure=sure)
            yield from self.block(node.body, sure=sure)
            yield from self.block(node.orelse, sure=False)
        elif isinstance(node, _TRIES):
            yield from self._try(node, sure=sure)
        elif isinstance(node, _WITHS):
            for item in node.items:
                yield from self.expression(item.context_expr, sure=sure)
            yield from self.block(node.body, sure=sure and not _catches(node))
        elif isinstance(node, ast.Match):
            yield from self._match(node, sure=sure)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from self._function(node, sure=sure)
        elif isinstance(node, ast.ClassDef):
            yield from self._each([*node.decorator_list, *node.bases], sure=sure)
            yield from self.block(node.body, sure=sure)
        elif isinstance(node, ast.ImportFrom):
            yield node, sure
        else:
            # What an assertion says is looked at only where it fails.
            unsure = [node.msg] if isinstance(node, ast.Assert) and node.msg else []
            yield from self._each(
                (each for each in _expressions(node) if each not in unsure), sure=sure
            )
            yield from self._each(unsure, sure=False)

    def _match(self, node: ast.Match, *, sure: bool) -> Iterator[tuple[Node, bool]]:
        yield from self.expression(node.subject, sure=sure)
        for case in node.cases:
            yield from self.expression(case.guard, sure=False)
            yield from self.block(case.body, sure=False)

    def _condition(self, node: ast.If | ast.While, *, sure: bool) -> Iterator[tuple[Node, bool]]:
        yield from self.expression(node.test, sure=sure)
        known = bool(node.test.value) if isinstance(node.test, ast.Constant) else None
        if known is not False:
            yield from self.block(node.body, sure=sure and known is True)
        if known is not True:
            yield from self.block(node.orelse, sure=sure and known is False)

    def _try(self, node: ast.Try, *, sure: bool) -> Iterator[tuple[Node, bool]]:
        yield from self.block(node.body, sure=sure and not node.handlers)
        for handler in node.handlers:
            yield from self.expression(handler.type, sure=False)
            yield from self.block(handler.body, sure=False)
        yield from self.block(node.orelse, sure=sure and not node.handlers)
        # A way out in it swallows what went before.
        yield from self.block(node.finalbody, sure=sure)

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, *, sure: bool
    ) -> Iterator[tuple[Node, bool]]:
        yield from self._each(_defaults(node.args), sure=sure)
        yield from self._each(node.decorator_list, sure=sure)
        runs = node.name in self._mentioned and not self._catches
        yield from self.block(node.body, sure=sure and runs)

    def expression(self, node: ast.expr | None, *, sure: bool) -> Iterator[tuple[ast.expr, bool]]:
        """An expression and what is in it."""
        if node is None:
            return
        yield node, sure
        if isinstance(node, ast.BoolOp):
            yield from self.expression(node.values[0], sure=sure)
            yield from self._each(node.values[1:], sure=False)
        elif isinstance(node, ast.IfExp):
            yield from self.expression(node.test, sure=sure)
            yield from self._each([node.body, node.orelse], sure=False)
        elif isinstance(node, ast.Lambda):
            yield from self._each(_defaults(node.args), sure=sure)
            yield from self.expression(node.body, sure=False)
        elif isinstance(node, _COMPREHENSIONS):
            yield from self._comprehension(node, sure=sure)
        elif isinstance(node, ast.Compare):
            # Of a < b < c, the last is looked at only where the first holds.
            yield from self._each([node.left, node.comparators[0]], sure=sure)
            yield from self._each(node.comparators[1:], sure=False)
        else:
            yield from self._each(_expressions(node), sure=sure)

    def _comprehension(
        self,
        node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp,
        *,
        sure: bool,
    ) -> Iterator[tuple[ast.expr, bool]]:
        for each in node.generators:
            yield from self.expression(each.iter, sure=sure)
            if each.ifs:
                yield from self.expression(each.ifs[0], sure=sure)
                yield from self._each(each.ifs[1:], sure=False)
                sure = False
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        yield from self._each(made, sure=sure)

    def _each(self, nodes: Iterable[ast.expr], *, sure: bool) -> Iterator[tuple[ast.expr, bool]]:
        for node in nodes:
            yield from self.expression(node, sure=sure)


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions right under a node, through what is none itself (keywords, parts of f-strings)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif not isinstance(child, ast.stmt):
            yield from _expressions(child)


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(each for each in arguments.kw_defaults if each is not None)]


def _catches(node: ast.AST) -> bool:
    """Whether an error in its body may go no further."""
    if isinstance(node, _TRIES):
        return bool(node.handlers) or any(_may_end(each) for each in node.finalbody)
    if isinstance(node, _WITHS):
        return not all(_name(item.context_expr) in _OPEN_ENDED for item in node.items)
    return False


def _mention(node: Node) -> str:
    """The name that is looked up."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else ""


def _name(node: ast.expr) -> str:
    called = node.func if isinstance(node, ast.Call) else node
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def _ends_all(node: ast.AST) -> bool:
    """Whether nothing after it in its block is reached."""
    value = node.value if isinstance(node, ast.Expr) else None
    exits = isinstance(value, ast.Call) and _name(value) in _ENDERS
    return exits or isinstance(node, _WAYS_OUT)


def _may_end(statement: ast.stmt) -> bool:
    """Whether it may keep what follows it in its block from being reached."""
    todo: list[tuple[ast.AST, bool]] = [(statement, False)]
    while todo:
        node, in_loop = todo.pop()
        ends_loop = isinstance(node, ast.Break | ast.Continue)
        if (_ends_all(node) and not ends_loop) or (ends_loop and not in_loop):
            return True
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            inside = in_loop or isinstance(node, (*_LOOPS, ast.While))
            todo.extend((child, inside) for child in ast.iter_child_nodes(node))
    return False
