"""What models put around code is taken off, and lines keep their numbers."""

import ast

import pytest

from protocell_guest.code_text import Readable, readable

FENCE = "the fence around it was taken off"
DEDENTED = "its indentation was taken off"
BOTH = "fence and indentation were taken off"
TWICE = "it had been escaped twice"


@pytest.mark.parametrize(
    "given, code, note",
    [
        ("```python\nx = 1\n```", "\nx = 1\n", FENCE),
        ("```\nx = 1\n```\n", "\nx = 1\n", FENCE),
        ("~~~py\nx = 1\n~~~", "\nx = 1\n", FENCE),
        ("```python\nx = 1", "\nx = 1", FENCE),
        ("x = 1\n```", "x = 1\n", FENCE),
        ("Here you are:\n\n```python\nx = 1\n```\nIt sets x.", "\n\n\nx = 1\n", FENCE),
        ("````python\nx = '''\n```\n'''\n````", "\nx = '''\n```\n'''\n", FENCE),
        ("    x = 1\n    if x:\n        y = 2", "x = 1\nif x:\n    y = 2", DEDENTED),
        ("  x = '''\nleft\n  right'''", "x = '''\nleft\nright'''", DEDENTED),
        ("```python\n    x = 1\n    y = 2\n```", "\nx = 1\ny = 2\n", BOTH),
        ('x = 1\\nprint(\\"a\\\\n\\")', 'x = 1\nprint("a\\n")', TWICE),
        ('"x = 1\\nfor y in z:\\n    pass\\n y"', '"x = 1\\nfor y in z:\\n    pass\\n y"', ""),
        ("x = 1\\ny = 'a'", "x = 1\ny = 'a'", TWICE),
        ("```python\\nx = 1\\n```", "\nx = 1\n", TWICE),
        ("return 1", "return 1", ""),
        ("await f()", "await f()", ""),
        ("x = '''\n```python\ny\n```\n'''", "x = '''\n```python\ny\n```\n'''", ""),
        ("x = 'a\\nb'", "x = 'a\\nb'", ""),
        ("```bash\nls\n```", "```bash\nls\n```", ""),
        ("x = (", "x = (", ""),
        ("```python\nx = (\n```", "```python\nx = (\n```", ""),
        ("```python\na\n```\n```python\nb\n```", "```python\na\n```\n```python\nb\n```", ""),
        ("", "", ""),
        ("```", "```", ""),
    ],
)  # fmt: skip
def test_code_is_made_readable(given: str, code: str, note: str):
    assert readable(given, ast.parse) == Readable(code, note)


def test_code_that_parses_is_not_looked_at_further():
    asked: list[str] = []

    def parse(code: str) -> None:
        asked.append(code)

    readable("%%bash\n```\nls\n```", parse)

    assert asked == ["%%bash\n```\nls\n```"]
