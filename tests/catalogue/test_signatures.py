"""A tool on one line."""

import ast
import asyncio
from collections import Counter
from datetime import date

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.signatures import call, signature
from protocell._catalogue.tokens import estimate
from protocell.tools.toolset import Toolset
from tests.catalogue.tools import ISSUE, catalogue, of, real, tool


def test_a_signature_has_names_hints_defaults_and_the_first_sentence():
    made = tool(schema=ISSUE, description="Create an issue. And more.", output_schema=ISSUE)

    assert signature(catalogue(made), made) == (
        "github.create_issue(owner: str, repo: str, title: str, body: str = ...,"
        " state: Literal['open', 'closed'] = 'open')"
        " -> dict  # Create an issue"
    )


def test_a_needed_parameter_after_a_star_has_no_default():
    def kwo(a: int = 1, *, b: str, c: int = 2) -> None: ...

    shown = Catalogue.of(asyncio.run(Toolset.of(kwo, name="own").tools()))

    assert signature(shown, shown.tools[0]) == "own.kwo(a: int = 1, *, b: str, c: int = 2) -> None"


def test_keys_of_a_dict_that_are_no_text_are_shown_as_they_come():
    def names() -> dict[int, str]:
        return {}

    def days() -> dict[date | int, list[str]]:
        return {}

    def pairs() -> dict[tuple[int, int], str]:
        return {}

    def counts() -> Counter[float]:
        return Counter()

    def texts() -> dict[str, int]:
        return {}

    toolset = Toolset.of(names, days, pairs, counts, texts, name="own")
    shown = Catalogue.of(asyncio.run(toolset.tools()))

    assert [signature(shown, each).partition("-> ")[2] for each in shown.tools] == [
        "dict[float, int]",
        "dict[date | int, list[str]]",
        "dict[int, str]",
        "dict[Any, str]",
        "dict[str, int]",
    ]


def test_a_call_can_be_pasted():
    made = tool(schema=ISSUE, description="Create an issue", output_schema={"type": "integer"})

    text = call(catalogue(made), made)

    assert text == (
        "github.create_issue(owner=str, repo=str, title=str)"
        "  # optional: body=str, state=Literal['open', 'closed']; gives int; Create an issue"
    )
    ast.parse(text)


def test_a_shape_that_was_only_seen_says_so():
    made = tool("list")
    shown = catalogue(made, seen={"github/list": {"type": "array", "items": {"type": "integer"}}})

    assert signature(shown, made) == "github.list() -> list[int]  # seen, not promised"


def test_optional_parameters_without_end_become_points_and_needed_ones_stay():
    many = {f"parameter_{number}": {"type": "string"} for number in range(100)}
    made = tool("f", schema=of({**many, "last": {"type": "integer"}}, "last"))

    text = signature(catalogue(made), made)

    assert text.startswith("github.f(last: int, parameter_0: str = ..., ")
    assert text.endswith(", ...)")
    assert len(text) < 240


def test_real_tools_cost_45_tokens_each_at_most():
    lines = [signature(real(), each) for each in real().tools]

    assert estimate("\n".join(lines)) / len(lines) <= 45


def test_the_calls_of_real_tools_are_python():
    for each in real().tools:
        ast.parse(call(real(), each))


def test_a_default_is_what_the_hint_allows():
    def pack(blob: bytes = b"", more: bytes = b"ab", note: str | None = None) -> None: ...

    (made,) = asyncio.run(Toolset.of(pack, name="box").tools())

    assert signature(catalogue(made), made) == (
        "box.pack(blob: bytes = b'', more: bytes = ..., note: str | None = None) -> None"
    )


def test_a_call_says_where_any_number_of_arguments_goes():
    def add(*items: int, **more: float) -> int:
        return sum(items)

    (made,) = asyncio.run(Toolset.of(add, name="box").tools())

    assert call(catalogue(made), made) == (
        "box.add()  # optional: *items: int, **more: float; gives int"
    )
