"""A retry makes no call again that was made; a recording is played without anything being called."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from protocell import FileError, PolicyError, Sandbox
from protocell.calls import ToolCall, note
from protocell.tools import Recording, ToolLimits, Tools, Toolset
from protocell_guest import values


class Shop:
    """A tool that changes something each time."""

    def __init__(self) -> None:
        self.bought: list[str] = []
        self.stock = {"pen", "ink"}

    def buy(self, item: str, count: int = 1) -> int:
        """Buy something; gives the number of the order."""
        if item not in self.stock:
            raise ValueError(f"there is no {item}")
        self.bought.extend([item] * count)
        return len(self.bought)

    def login(self, user: str, password: str) -> str:
        """Log in."""
        self.bought.append(password)
        return f"welcome, {user}"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def toolset(shop: Shop) -> Toolset:
    return Toolset.of(shop.buy, shop.login, name="shop")


def test_a_retry_does_not_repeat_what_was_done(shop: Shop, toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        failed = sandbox.run_code("orders = [shop.buy(item) for item in ('pen', 'ink', 'cup')]")
        shop.stock.add("cup")
        again = sandbox.run_code(
            "[shop.buy(item) for item in ('pen', 'ink', 'cup', 'pen')]", retry_of=failed
        )

    assert failed.status == "error"
    assert again.text == "[1, 2, 3, 4]"
    assert shop.bought == ["pen", "ink", "cup", "pen"]
    assert [call.served for call in again.tool_calls] == [True, True, False, False]
    assert [call.value for call in again.tool_calls] == [1, 2, 3, 4]


def test_without_being_asked_for_nothing_is_served(shop: Shop, toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        sandbox.run_code("shop.buy('pen'); 1 / 0")
        again = sandbox.run_code("shop.buy('pen')")

    assert (again.text, shop.bought) == ("2", ["pen", "pen"])


def test_other_arguments_are_another_call(shop: Shop, toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        failed = sandbox.run_code("shop.buy('pen'); 1 / 0")
        sandbox.run_code("shop.buy('pen', count=2)", retry_of=failed)

    assert shop.bought == ["pen"] * 3


def test_a_rule_that_denies_now_denies_what_was_allowed_then(shop: Shop, toolset: Toolset):
    allowed = {"pen", "ink"}
    ruled = toolset.permit({"buy": lambda arguments: arguments["item"] in allowed})
    with Sandbox(tools=ruled) as sandbox:
        failed = sandbox.run_code("shop.buy('pen'); 1 / 0")
        allowed.clear()
        again = sandbox.run_code("shop.buy('pen')", retry_of=failed)

    assert again.error is not None
    assert again.error.name == "ToolDeniedError"


def test_a_call_with_an_argument_that_is_redacted_is_made_again(shop: Shop, toolset: Toolset):
    tools = Tools(toolset=toolset, redact=["password"])
    with Sandbox(tools=tools) as sandbox:
        failed = sandbox.run_code("shop.login('ann', 'one'); 1 / 0")
        sandbox.run_code("shop.login('ann', 'other')", retry_of=failed)

    assert shop.bought == ["one", "other"]


def test_what_the_log_had_no_room_for_is_called_again(shop: Shop, toolset: Toolset):
    tools = Tools(toolset=toolset, limits=ToolLimits(log_bytes=1))
    with Sandbox(tools=tools) as sandbox:
        failed = sandbox.run_code("shop.buy('pen'); shop.buy('ink'); 1 / 0")
        again = sandbox.run_code("shop.buy('pen'), shop.buy('ink')", retry_of=failed)

    assert failed.tool_calls[0].value == 1
    with pytest.raises(LookupError, match="the log has no value of call 2"):
        print(failed.tool_calls[1].value)
    assert not hasattr(failed.tool_calls[1], "value")
    assert again.text == "(1, 3)"


def test_a_retry_needs_an_execution_and_tools(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code("1")
        with pytest.raises(PolicyError, match="allowed is an Execution"):
            sandbox.run_code("1", retry_of="the last one")  # type: ignore[arg-type]
    with Sandbox() as sandbox, pytest.raises(PolicyError, match="has no tools"):
        sandbox.run_code("1", retry_of=execution)


def test_failed_code_tells_the_model_what_it_had_called(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        failed = sandbox.run_code(
            "shop.buy('pen')\ntry: shop.buy('cup')\nexcept ToolError: pass\n1 / 0"
        )
        fine = sandbox.run_code("shop.buy('pen')")

    assert failed.tool_calls_note == (
        "Before the code ended, it had made 2 calls of tools. Do not repeat what has changed something:\n"
        "shop.buy(item='pen'): returned\n"
        "shop.buy(item='cup'): failed (tool): shop/buy: ValueError: there is no cup"
    )
    assert fine.tool_calls_note == ""
    assert failed.to_dict()["tool_calls"][0]["arguments"] == {"item": "pen"}


def made(number: int, **more: Any) -> ToolCall:
    fields: dict[str, Any] = {"arguments": {"text": "x" * 90}, "outcome": "ok", **more}
    return ToolCall(number=number, server="s", tool="t", **fields)


def test_the_note_has_bounds_and_the_whole_count():
    calls = [made(number) for number in range(1, 500)]
    calls.append(made(500, outcome="cancelled"))
    told = note(calls)

    assert len(told) < 2_200
    assert told.startswith("Before the code ended, it had made 500 calls of tools.")
    assert told.endswith(" returned, 1 did not finish")
    assert all(len(line) < 300 for line in told.splitlines())


def test_the_note_shows_no_control_characters():
    told = note(
        [made(1, arguments={"text": "\x1b[2J"}, outcome="error", kind="tool", message="\x1b]0;x")]
    )

    assert "\x1b" not in told


def test_calls_that_never_happened_are_not_in_the_note():
    assert note([made(1, outcome="error", kind="validation", message="no")]) == ""


def test_a_session_plays_again_offline_from_its_file(shop: Shop, toolset: Toolset, tmp_path: Path):
    recording = Recording()
    code = (
        "import datetime\n"
        "def tried(item):\n"
        "    try: return shop.buy(item)\n"
        "    except ToolError as error: return error.kind, str(error)\n"
        "print([tried(item) for item in ('pen', 'cup', 'ink')])\n"
    )
    with Sandbox(tools=Tools(toolset=toolset, record=recording)) as sandbox:
        first = sandbox.run_code(code)
        second = sandbox.run_code("shop.buy('pen')")
    recording.save(tmp_path / "session.jsonl")
    shop.stock.clear()

    played = Tools.replaying(Recording.load(tmp_path / "session.jsonl"))
    with Sandbox(tools=played) as sandbox:
        later = sandbox.run_code("shop.buy('pen'), shop.buy(item='pen')")
        printed = sandbox.run_code(code.replace("'pen', ", ""))
        missing = sandbox.run_code("shop.buy('pen')")

    assert first.logs.stdout == ["[1, ('tool', 'shop/buy: ValueError: there is no cup'), 2]\n"]
    assert (second.text, later.text) == ("3", "(1, 3)")
    assert printed.logs.stdout == ["[('tool', 'shop/buy: ValueError: there is no cup'), 2]\n"]
    assert missing.error is not None
    assert missing.error.name == "ToolTransportError"
    assert "was not called with these arguments in the recording" in missing.error.value
    assert shop.bought == ["pen", "ink", "pen"]


def test_the_tools_of_a_recording_look_as_they_did(toolset: Toolset, tmp_path: Path):
    recording = Recording()
    with Sandbox(tools=Tools(toolset=toolset, record=recording)) as sandbox:
        told = sandbox.run_code("shop.buy('pen'); describe('shop.buy')").text
    recording.save(tmp_path / "session.jsonl")
    with Sandbox(tools=Tools.replaying(Recording.load(tmp_path / "session.jsonl"))) as sandbox:
        again = sandbox.run_code("shop.buy('pen'); describe('shop.buy')").text

    assert "def buy(item: str, count: int = 1) -> int" in str(told)
    assert again == told


def test_what_is_redacted_is_in_no_recording_and_is_played(
    shop: Shop, toolset: Toolset, tmp_path: Path
):
    recording, path = Recording(), tmp_path / "session.jsonl"
    login = "shop.login('ann', 'secret-1')"
    with Sandbox(tools=Tools(toolset=toolset, record=recording, redact=["password"])) as sandbox:
        sandbox.run_code(login)
    recording.save(path)
    played = Tools.replaying(Recording.load(path), redact=["password"])
    with Sandbox(tools=played) as sandbox:
        assert sandbox.run_code(login).text == "'welcome, ann'"

    assert shop.bought == ["secret-1"]
    assert "secret-1" not in path.read_text()


def test_a_recording_has_bounds(toolset: Toolset):
    recording = Recording(most_bytes=1)
    with Sandbox(tools=Tools(toolset=toolset, record=recording)) as sandbox:
        sandbox.run_code("shop.buy('pen'); shop.buy('ink')")

    assert [call.body for call in recording.calls] == [values.dumps(1), None]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]\n",
        '{"protocell": "recording of tool calls", "version": 2}\n',
        '{"protocell": "recording of tool calls", "version": 1}\n{"call": {}}\n',
        '{"protocell": "recording of tool calls", "version": 1}\n{"tool": 5}\n',
        '{"protocell": "recording of tool calls", "version": 1}\n' + "[" * 100_000,
        "\x80",
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: str):
    (tmp_path / "file").write_text(content, encoding="utf-8")

    with pytest.raises(FileError, match="recording"):
        Recording.load(tmp_path / "file")


@pytest.mark.parametrize(
    "kind, field, value",
    [
        ("tool", "server", 5),
        ("tool", "identifier", "no identifier"),
        ("tool", "input_schema", "object"),
        ("tool", "annotations", {"read_only": "yes"}),
        ("tool", "parameters", [{"name": "item"}]),
        ("tool", "parameters", [5]),
        ("tool", "invoke", "print"),
        ("call", "number", True),
        ("call", "arguments", ["pen"]),
        ("call", "arguments", values.encode(b"pen")),
        ("call", "outcome", "fine"),
        ("call", "seconds", "long"),
        ("call", "raw", None),
        ("call", "body", "eA=="),
    ],
)
def test_a_recording_in_which_a_field_is_of_another_shape_is_refused(
    toolset: Toolset, tmp_path: Path, kind: str, field: str, value: Any
):
    recording, path = Recording(), tmp_path / "file"
    with Sandbox(tools=Tools(toolset=toolset, record=recording)) as sandbox:
        sandbox.run_code("shop.buy('pen')")
    recording.save(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    (first, *_) = [line[kind] for line in lines if kind in line]
    first[field] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    with pytest.raises(FileError, match="cannot be read as a recording"):
        Recording.load(path)


def test_a_recording_that_is_added_to_can_be_saved(toolset: Toolset):
    tools = {tool.id: tool for tool in asyncio.run(toolset.tools())}
    (first, *others) = tools
    recording = Recording()
    recording.add({first: tools[first]}, [])
    lines = recording._lines()
    assert [next(lines).keys(), next(lines).keys()] == [{"protocell", "version"}, {"tool"}]
    recording.add({name: tools[name] for name in others}, [])

    assert list(lines) == []


def test_only_recordings_are_recordings(toolset: Toolset):
    with pytest.raises(PolicyError, match="record is 'x'; allowed is a Recording"):
        Tools(toolset=toolset, record="x")  # type: ignore[arg-type]
