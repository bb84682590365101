"""``return`` at the top level: its value is the value of the code, and what the code binds lives on."""

import ast
import asyncio
import traceback
from typing import Any

import pytest

from protocell_guest import returns

FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def run(code: str, names: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
    """Value of the last expression and the names, as an interactive context would have them."""
    names = {"__builtins__": __builtins__} if names is None else names
    tree = returns.accept(compile(code, "<cell>", "exec", FLAGS, dont_inherit=True))
    *body, last = tree.body
    value = None
    pieces: list[tuple[ast.Module | ast.Expression, str]] = [(tree, "exec")]
    if isinstance(last, ast.Expr):
        pieces = [(ast.Module(body, []), "exec"), (ast.Expression(last.value), "eval")]
    for piece, mode in pieces:
        compiled = compile(piece, "<cell>", mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(compiled, names)
        if asyncio.iscoroutine(value):
            value = asyncio.run(value)
    names.pop("__builtins__")
    return value, names


@pytest.mark.parametrize(
    "code, value, names",
    [
        ("return 1", 1, {}),
        ("x = 2\nreturn x * 3", 6, {"x": 2}),
        ("return", None, {}),
        ("return 1, 2", (1, 2), {}),
        ("x = 1\nif x:\n    y = 5\n    return y\nz = 6", 5, {"x": 1, "y": 5}),
        ("x = 0\nif x:\n    return 1\nz = 6", None, {"x": 0, "z": 6}),
        ("for i in range(9):\n    if i == 3:\n        return i", 3, {"i": 3}),
        ("x: int = 1\nif x:\n    y: int = 2\n    w: str\n    return y", 2, {"x": 1, "y": 2}),
        ("if 1:\n    return (n := 4)", 4, {"n": 4}),
        ("if 1:\n    t = [i for i in range(3) if (last := i)]\n    return t", [1, 2], {"t": [1, 2], "last": 2}),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    return 'caught'", "caught", {}),
        ("x = 1\ndel x\nif 1:\n    import math as m\n    return m.floor(1.5)", 1, None),
        ("with open('/dev/null') as f:\n    return f.read()", "", None),
        ("match 5:\n    case n:\n        return n", 5, {"n": 5}),
        ("if 1:\n    a, *b = 1, 2, 3\n    return b", [2, 3], {"a": 1, "b": [2, 3]}),
        ("x = 1\nif 0:\n    return 0\nx += 1\nreturn x", 2, {"x": 2}),
        ("async def f():\n    return 7\nif 1:\n    return await f()", 7, None),
        ("async def f():\n    return 7\nreturn await f()", 7, None),
    ],
)  # fmt: skip
def test_its_value_is_the_value(code: str, value: Any, names: dict[str, Any] | None):
    found, bound = run(code)
    bound.pop("__annotations__", None)

    assert found == value
    assert names is None or bound == names


def test_functions_and_classes_made_there_see_what_the_code_binds():
    code = """
if True:
    base = 10
    def add(n: int = 1) -> int:
        local: int = base + n
        return local
    class A:
        size: int = base
        def get(self): return base
    result = [add(), A().get(), A.size, (lambda: base)()]
    base = 20
    result += [add(), A().get()]
    return result
"""
    value, names = run(code)

    assert value == [11, 10, 10, 10, 21, 20]
    assert sorted(names) == ["A", "add", "base", "result"]
    assert names["add"].__qualname__ == "add"


def test_errors_keep_their_lines():
    with pytest.raises(ZeroDivisionError) as caught:
        run("x = 1\nif x:\n    y = 0\n    return x / y\n")

    frames = [each for each in traceback.extract_tb(caught.tb) if each.filename == "<cell>"]
    assert [each.lineno for each in frames] == [2, 4]


def test_code_without_it_is_left_as_it_is():
    code = "def f():\n    return 1\nx = f()\nlambda: (yield)\n"
    tree = ast.parse(code)

    assert ast.dump(returns.accept(tree)) == ast.dump(ast.parse(code))


@pytest.mark.parametrize("code", ["return 1\nyield 2", "if 1:\n    from os import *\n    return 1"])
def test_what_no_function_can_have_stays_an_error(code: str):
    with pytest.raises(SyntaxError):
        run(code)


def test_a_future_import_before_it_stays_first():
    assert run("from __future__ import annotations\nif 1:\n    return 3")[0] == 3
