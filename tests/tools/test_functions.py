"""Python functions as tools: what is read of them, what they get, what comes of it, how they fail."""

import asyncio
import dataclasses
import functools
import threading
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field

from protocell.errors import PolicyError
from protocell.tools.docstrings import parse
from protocell.tools.errors import ToolError
from protocell.tools.functions import FunctionSource
from protocell.tools.thread_call import ThreadCall
from protocell.tools.tool import MISSING, Answer, Call, Question, Reply, Tool
from protocell.tools.validation import prepare
from protocell.tools.values import Image
from tests.tools.calls import DirectCall, call


def tools_of(*functions: Callable[..., Any]) -> list[Tool]:
    return list(asyncio.run(FunctionSource(functions).tools()))


def tool_of(function: Callable[..., Any]) -> Tool:
    (tool,) = tools_of(function)
    return tool


def value_of(function: Callable[..., Any], **arguments: Any) -> Any:
    return asyncio.run(call(tool_of(function), **arguments)).value


def failure_of(function: Callable[..., Any], **arguments: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        asyncio.run(call(tool_of(function), **arguments))
    return caught.value


# What is read


class Size(BaseModel):
    width: int
    height: int = 1


def price(
    sku: str,
    count: Annotated[int, Field(gt=0, description="how many")] = 1,
    *,
    currency: Literal["EUR", "USD"] = "EUR",
    size: Size | None = None,
) -> float:
    """Price of so many.

    Long text.

    Args:
        sku: Which thing.
        currency (str): In which money;
            euros if not said.

    Returns:
        The price.
    """
    return len(sku) * count


def test_the_schema_comes_from_hints_and_the_descriptions_from_the_docstring():
    tool = tool_of(price)

    assert (tool.id, tool.identifier, tool.native) == ("functions/price", "price", True)
    assert tool.description == "Price of so many.\n\nLong text.\n\nReturns:\n    The price."
    assert tool.output_schema == {"type": "number"}
    size = {
        "properties": {"width": {"type": "integer"}, "height": {"default": 1, "type": "integer"}},
        "required": ["width"],
        "title": "Size",
        "type": "object",
    }
    assert tool.input_schema == {
        "$defs": {"Size": size},
        "additionalProperties": False,
        "properties": {
            "sku": {"type": "string", "description": "Which thing."},
            "count": {
                "type": "integer",
                "exclusiveMinimum": 0,
                "description": "how many",
                "default": 1,
            },
            "currency": {
                "type": "string",
                "enum": ["EUR", "USD"],
                "description": "In which money; euros if not said.",
                "default": "EUR",
            },
            "size": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}], "default": None},
        },
        "required": ["sku"],
        "type": "object",
    }


def test_each_parameter_says_how_python_takes_it():
    def many(a, /, b, c=2, *rest: int, d, e: Any = None, **more: str) -> None:
        """Without hints for most."""

    parameters = tool_of(many).parameters

    assert [(each.name, each.kind, each.required, each.default) for each in parameters] == [
        ("a", "positional_only", True, MISSING),
        ("b", "normal", True, MISSING),
        ("d", "keyword_only", True, MISSING),
        ("c", "normal", False, 2),
        ("rest", "variadic", False, MISSING),
        ("e", "keyword_only", False, None),
        ("more", "keywords", False, MISSING),
    ]
    assert [dict(each.schema) for each in parameters if each.kind in ("variadic", "keywords")] == [
        {"type": "array", "items": {"type": "integer"}},
        {"type": "string"},
    ]
    assert tool_of(many).input_schema["additionalProperties"] == {"type": "string"}


@pytest.mark.parametrize(
    "text",
    [
        "Do it.\n\nArgs:\n    a (int): The a,\n        as said.\n    *b: Rest: of it.\n\nReturns:\n    x",
        "Do it.\n\nParameters\n----------\na : int\n    The a,\n    as said.\nb\n    Rest: of it.\n\nReturns:\n    x",
        "Do it.\n\n:param int a: The a,\n    as said.\n:type a: int\n:param b: Rest: of it.\n\nReturns:\n    x",
    ],
    ids=["Google", "NumPy", "Sphinx"],
)
def test_docstrings_in_three_styles_describe_parameters(text: str):
    rest, told = parse(text, {"a", "b"})

    assert told == {"a": "The a, as said.", "b": "Rest: of it."}
    if "----" not in text:  # in NumPy's style "Returns:" is no heading
        assert rest == "Do it.\n\nReturns:\n    x"


def test_a_section_that_is_about_no_parameter_stays_in_the_text():
    text = "Do it.\n\nArguments:\n    nobody: knows"

    assert parse(text, {"a"}) == (text, {})


class Shelf:
    """A shelf.

    Args:
        by: how much
    """

    def __init__(self) -> None:
        self.count = 0

    def put(self, by: int = 1) -> int:
        """Puts."""
        self.count += by
        return self.count

    @classmethod
    def empty(cls) -> str:
        return cls.__name__

    @staticmethod
    def label(text: str) -> str:
        return text

    def __call__(self, by: int) -> int:
        return self.put(by)


class AsyncShelf:
    async def __call__(self, by: int) -> int:
        return by


def test_methods_and_instances_that_can_be_called_keep_their_state():
    shelf = Shelf()
    tools = tools_of(shelf.put, shelf, Shelf.empty, Shelf.label, AsyncShelf())

    assert [tool.name for tool in tools] == ["put", "shelf", "empty", "label", "async_shelf"]
    assert [tool.description for tool in tools] == ["Puts.", "A shelf.", "", "", ""]
    assert [each.name for each in tools[0].parameters] == ["by"]
    assert tools[1].parameters[0].description == "how much"

    async def use() -> list[Any]:
        first = await call(tools[0])
        second = await call(tools[1], by=2)
        third = await call(tools[4], by=3)
        return [first.value, second.value, third.value]

    assert asyncio.run(use()) == [1, 3, 3]
    assert shelf.count == 3


def test_what_a_partial_has_bound_is_neither_shown_nor_to_be_replaced():
    def fetch(token: str, path: str, timeout: int = 3) -> str:
        """Fetches."""
        return f"{token} {path} {timeout}"

    bound = functools.partial(functools.partial(fetch, token="s3cret"), timeout=5)
    tool = tool_of(bound)

    assert (tool.name, tool.description) == ("fetch", "Fetches.")
    assert [each.name for each in tool.parameters] == ["path"]
    assert "s3cret" not in str(tool.input_schema)
    assert value_of(bound, path="a") == "s3cret a 5"
    assert failure_of(bound, path="a", token="x").kind == "validation"
    assert value_of(functools.partial(fetch, "t"), path="a") == "t a 3"


def test_a_decorated_function_is_read_as_what_it_wraps():
    @functools.lru_cache
    def twice(x: int) -> int:
        return 2 * x

    assert value_of(twice, x="3") == 6


def test_builtins_that_tell_their_parameters_are_tools_too():
    assert value_of(len, obj="abc") == 3


def test_functions_of_one_name_are_numbered():
    def other(x: int) -> int:
        return x

    other.__name__ = "price"

    assert [tool.id for tool in tools_of(price, other)] == ["functions/price", "functions/price_2"]
    assert [tool.identifier for tool in tools_of(price, lambda: 1)] == ["price", "_lambda_"]


def test_fields_with_names_that_models_cannot_have_are_fine():
    def odd(_private: int, copy: str, model_config: int = 1, json: Any = None) -> list[Any]:
        return [_private, copy, model_config, json]

    assert value_of(odd, _private=1, copy="c", model_config=2, json={"a": 1}) == [
        1,
        "c",
        2,
        {"a": 1},
    ]


def test_a_default_that_is_a_field_of_pydantic_counts_as_what_it_says():
    def bounded(
        n: int = Field(default=2, gt=0, description="how many"), m: int = Field(gt=1)
    ) -> int:
        return n + m

    tool = tool_of(bounded)

    assert [(each.name, each.required, each.default) for each in tool.parameters] == [
        ("m", True, MISSING),
        ("n", False, 2),
    ]
    assert value_of(bounded, m=3) == 5
    assert failure_of(bounded, m=3, n=0).kind == "validation"


def test_none_as_a_default_may_be_given_too():
    def implicit(x: int = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013
        return x

    assert value_of(implicit, x=None) is None
    assert value_of(implicit, x=3) == 3


class Street(TypedDict):
    name: str
    number: typing.NotRequired[int]


class Town(TypedDict, total=False):
    streets: typing.Required[list[Street]]
    mayor: str | None


def test_typed_dicts_of_the_standard_library_are_read_on_every_version():
    def visit(town: Annotated[Town, "where"], streets: dict[str, Street] | None = None) -> Town:
        return town

    town = {"streets": [{"name": "a", "number": "3"}], "mayor": None}

    assert value_of(visit, town=town) == {"streets": [{"name": "a", "number": 3}], "mayor": None}
    assert "town.streets[0].name is missing" in str(failure_of(visit, town={"streets": [{}]}))
    assert tool_of(visit).input_schema["$defs"]["Street"]["required"] == ["name"]


@pytest.mark.parametrize(
    "function, said",
    [
        (Shelf, "Shelf is a class; hand over an instance that has __call__, one of its methods"),
        (3, "a int is not callable, so it is no tool"),
        (max, "max does not tell its parameters"),
    ],
)
def test_what_can_be_no_tool_is_refused_with_what_would_be_one(function: Any, said: str):
    with pytest.raises(PolicyError) as caught:
        tool_of(function)

    assert str(caught.value).startswith(said)


def test_what_yields_is_refused():
    def numbers() -> Iterator[int]:
        yield 1

    async def more() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, more):
        with pytest.raises(PolicyError) as caught:
            tool_of(function)
        assert str(caught.value) == (
            f"{function.__name__} yields; a tool gives one value, so let it return a list"
        )


def test_a_parameter_that_no_code_can_send_is_named():
    def connect(name: str, lock: threading.Event) -> None: ...

    with pytest.raises(PolicyError) as caught:
        tool_of(connect)

    assert str(caught.value).startswith(
        "connect cannot be a tool: no code can send what lock is hinted as, <class 'threading.Event'>"
    )
    assert [
        p.name for p in tool_of(functools.partial(connect, lock=threading.Event())).parameters
    ] == ["name"]


@pytest.mark.parametrize("hint", [Callable[[int], int], type, list[Callable[..., Any]]])
@pytest.mark.parametrize("kind", ["", "*", "**"])
def test_a_hint_that_json_has_nothing_for_is_refused_by_the_name_of_its_parameter(
    hint: Any, kind: str
):
    made: dict[str, Any] = {"hint": hint}
    exec(f"def each(n: int, {kind}work: hint) -> None: ...", made)

    with pytest.raises(PolicyError) as caught:
        tool_of(made["each"])

    assert str(caught.value) == (
        f"each cannot be a tool: no code can send what work is hinted as, {hint!r:.80}; bind it with "
        "functools.partial, or hint it otherwise"
    )


def test_hints_that_name_nothing_are_refused():
    def broken(x: int) -> int:
        return x

    broken.__annotations__["x"] = "Nowhere"

    with pytest.raises(PolicyError) as caught:
        tool_of(broken)
    assert str(caught.value).startswith(
        "the type hints of broken cannot be read (name 'Nowhere' is not defined)"
    )


# What is passed


def test_arguments_reach_every_kind_of_parameter():
    def many(a: int, /, b: int, c: int = 3, *rest: int, d: int = 4, **more: int) -> list[Any]:
        return [a, b, c, rest, d, more]

    assert value_of(many, a="1", b=2) == [1, 2, 3, (), 4, {}]
    assert value_of(many, a=1, b=2, rest=["7", 8], x="9") == [1, 2, 3, (7, 8), 4, {"x": 9}]
    assert value_of(many, a=1, b=2, c=0, d=5, more=6) == [1, 2, 0, (), 5, {"more": 6}]
    assert "rest[1] should be a valid integer" in str(failure_of(many, a=1, b=2, rest=[1, "z"]))
    assert "x should be a valid integer" in str(failure_of(many, a=1, b=2, x="z"))


def test_a_positional_only_default_is_the_functions_own():
    def times(base: int, factor: int = 2, /) -> int:
        return base * factor

    assert value_of(times, base=3) == 6
    assert value_of(times, base=3, factor=3) == 9


def test_a_refusal_is_in_the_words_of_the_schema_and_names_the_place():
    error = failure_of(price, count=0, currency="GBP", size={"width": "x", "depth": 1}, colour=3)

    assert error.kind == "validation"
    assert str(error) == (
        "functions/price: colour is no parameter; sku is missing. Parameters: sku*, count, currency, size "
        "(* = required)."
    )
    error = failure_of(price, sku=1, count=0, currency="GBP", size={"width": "x"})
    assert str(error) == (
        "functions/price: sku should be a valid string, is int; count should be greater than 0; currency "
        "should be 'EUR' or 'USD'; size.width should be a valid integer, unable to parse string as an "
        "integer. Parameters: sku*, count, currency, size (* = required)."
    )


def test_what_is_wrong_with_each_form_of_a_union_stands_together():
    def either(x: int | list[int]) -> Any:
        return x

    assert (
        "x should be a valid integer, unable to parse string as an integer or should be a valid list"
        in (str(failure_of(either, x="a")))
    )


def test_a_flood_of_wrong_values_is_answered_shortly():
    def add(numbers: list[int]) -> int:
        return sum(numbers)

    assert str(failure_of(add, numbers=["x"] * 5_000)) == (
        "functions/add: 5000 values are not of the types that they should be. Parameters: numbers* "
        "(* = required)."
    )


def test_a_validator_of_the_users_own_may_raise_anything():
    class Odd(BaseModel):
        x: int

        def model_post_init(self, _: Any) -> None:
            raise KeyError(self.x)

    def take(odd: Odd) -> None: ...

    error = failure_of(take, odd={"x": 1})
    assert (error.kind, str(error)) == ("tool", "functions/take: KeyError: 1")


# What is given


@dataclasses.dataclass
class Public:
    name: str


@dataclasses.dataclass
class Private(Public):
    password: str


def test_only_what_a_function_promises_leaves_it():
    def user() -> Public:
        return Private("a", "s3cret")

    def users() -> list[Public]:
        return [Private("a", "s3cret")]

    assert value_of(user) == {"name": "a"}
    assert value_of(users) == [{"name": "a"}]


def test_a_value_that_is_not_what_was_promised_is_not_lost():
    def number() -> int:
        return "x"  # type: ignore[return-value]

    def numbers() -> list[Size]:
        return [{"width": 1}, 3]  # type: ignore[list-item]

    assert value_of(number) == "x"
    assert value_of(numbers) == [{"width": 1}, 3]


def test_aliases_are_what_code_inside_reads_and_writes():
    class Aliased(BaseModel):
        kind: str = Field(alias="type")

    def same(x: Aliased) -> Aliased:
        return x

    assert value_of(same, x={"type": "a"}) == {"type": "a"}
    assert list(tool_of(same).output_schema or {}) != []


def test_an_image_stays_one():
    def shot() -> Image:
        return Image(b"\x00", "image/png")

    def shots() -> dict[str, list[Image]]:
        return {"a": [Image(b"\x00", "image/png")]}

    assert value_of(shot) == Image(b"\x00", "image/png")
    assert value_of(shots) == {"a": [Image(b"\x00", "image/png")]}
    assert tool_of(shot).output_schema == {"type": "object", "title": "Image"}
    assert tool_of(shots).output_schema is None


def test_without_a_hint_nothing_is_promised_and_what_comes_is_sent():
    def anything():
        return {"point": Public("a"), "pair": (1, 2)}

    assert tool_of(anything).output_schema is None
    assert value_of(anything) == {"point": {"name": "a"}, "pair": (1, 2)}


def test_what_cannot_be_sent_is_said_with_its_place():
    def odd() -> Any:
        return [{"lock": threading.Lock()}]

    assert str(failure_of(odd)) == (
        "functions/odd ran, but what it gave cannot be sent: result[0]['lock']: _thread.lock cannot cross "
        "between the code and a tool; send text, numbers, bytes, dates, lists, sets, dicts or dataclasses"
    )


def test_what_cannot_be_sent_as_a_whole_has_no_place():
    def odd() -> Any:
        return threading.Lock()

    assert str(failure_of(odd)).startswith(
        "functions/odd ran, but what it gave cannot be sent: _thread.lock cannot cross"
    )


# How they run


def test_a_sync_function_runs_in_a_thread_and_an_async_one_in_the_loop():
    here = threading.get_ident()

    def sync() -> bool:
        return threading.get_ident() == here

    async def quick() -> bool:
        return threading.get_ident() == here

    def awaitable() -> Awaitable[bool]:
        return quick()

    assert value_of(sync) is False
    assert value_of(quick) is True
    assert value_of(awaitable) is True
    assert tool_of(awaitable).output_schema == {"type": "boolean"}


def test_a_function_that_wants_its_call_gets_it_and_nobody_sees_that():
    async def order(call: Call, what: str) -> Any:
        call.progress("half", 1, 2)
        return await call.ask(Question(text=f"size of {what}?"))

    def order_here(what: str, call: ThreadCall | None = None) -> Reply | None:
        if call is None:
            return None
        call.progress("half", 1, 2)
        return call.ask(Question(text=f"size of {what}?"))

    for function in (order, order_here):
        tool, direct = tool_of(function), DirectCall()
        assert [each.name for each in tool.parameters] == ["what"]
        answer = asyncio.run(invoked(tool, direct, what="it"))
        assert answer.value == {"action": "accept", "content": {"size": 3}}
        assert direct.said == [("half", 1, 2)]
        assert direct.asked == [Question(text="size of it?")]


async def invoked(tool: Tool, direct: DirectCall, **arguments: Any) -> Answer:
    return await tool.invoke(prepare(tool, arguments), direct)


def test_a_cancelled_call_ends_the_coroutine():
    async def run() -> list[str]:
        seen: list[str] = []
        started = asyncio.Event()

        async def slow() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("ended")

        (tool,) = await FunctionSource([slow]).tools()
        task = asyncio.create_task(invoked(tool, DirectCall()))
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        return [*seen, str(task.cancelled())]

    assert asyncio.run(run()) == ["ended", "True"]


def test_a_thread_that_asks_is_told_when_its_call_has_ended():
    class Silent(DirectCall):
        asking = asyncio.Event()

        async def ask(self, question: Question) -> Reply:
            self.asking.set()
            await asyncio.Event().wait()
            raise AssertionError

    ended = threading.Event()

    def ask(call: ThreadCall) -> None:
        try:
            call.ask(Question(text="?"))
        finally:
            ended.set()

    async def run() -> bool:
        direct = Silent()
        task = asyncio.create_task(invoked(tool_in_loop, direct))
        await direct.asking.wait()
        task.cancel()
        await asyncio.wait([task])
        return await asyncio.to_thread(ended.wait, 5)

    tool_in_loop = tool_of(ask)
    assert asyncio.run(run()) is True


# How they fail


@pytest.mark.parametrize(
    "error, said",
    [
        (ValueError("no such sku"), "ValueError: no such sku"),
        (
            FileNotFoundError(2, "gone", "/home/me/x/prices.csv"),
            "FileNotFoundError: [Errno 2] gone: '.../prices.csv'",
        ),
        (ExceptionGroup("g", [OSError("a"), KeyError("b")]), "OSError: a; KeyError: 'b'"),
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "CancelledError"),
        (TimeoutError(), "TimeoutError"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_exception_is_told_by_type_and_message_alone(error: BaseException, said: str, kind: str):
    def fail() -> None:
        raise error

    async def fail_async() -> None:
        raise error

    failure = failure_of(fail if kind == "sync" else fail_async)

    assert (failure.kind, failure.server) == ("tool", "functions")
    assert str(failure) == f"functions/{failure.tool}: {said}"
    assert failure.data == {"type": type(error).__name__}
    assert failure.__cause__ is error


def test_what_would_end_a_loop_or_break_a_future_is_told_as_well():
    def stop() -> None:
        raise StopIteration(3)

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert str(failure_of(stop)) == "functions/stop: StopIteration: 3"
    assert str(failure_of(interrupt)) == "functions/interrupt: KeyboardInterrupt"


def test_a_tool_error_of_the_functions_own_keeps_its_kind_and_data():
    def refuse() -> None:
        raise ToolError("not you, see /home/me/rules.txt", kind="denied", data={"by": Public("me")})

    error = failure_of(refuse)

    assert (error.kind, error.server, error.tool) == ("denied", "functions", "refuse")
    assert (str(error), error.data) == ("not you, see .../rules.txt", {"by": {"name": "me"}})


def test_a_path_that_the_code_has_told_stays_in_an_error_of_the_functions_own():
    def load(path: str) -> None:
        raise ToolError(f"{path} is not as /etc/passwd")

    failure = failure_of(load, path="/home/user/data.csv")

    assert str(failure) == "/home/user/data.csv is not as .../passwd"
