"""What the host's own coroutines do when they are cancelled holds up no execution and decides nothing any more."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from protocell._broker import cancelling
from protocell.calls import ToolCall, note
from protocell.tools import ApprovalRequest, Call, ToolLimits, Toolset
from protocell_guest.guest.tool_errors import ToolError
from tests.broker.conftest import Open, Session


class Deaf:
    """Does not hear that it is cancelled, until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._may_end = asyncio.Event()

    async def wait(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.begun.set()
        while not self._may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self._may_end.wait()
        self.ended.append("ended")

    def let_go(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._may_end.set)

    def settle(self, session: Session) -> None:
        """Let it go, and wait until the loop has done with it."""

        async def until() -> None:
            assert cancelling._given_up
            self._may_end.set()
            await asyncio.gather(*cancelling._given_up)

        loop = session.counter.desk.runtime.loop
        asyncio.run_coroutine_threadsafe(until(), loop).result(30)
        assert self.ended == ["ended"]


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deaf]:
    monkeypatch.setattr(cancelling, "GIVE_UP_SECONDS", 0.05)
    made = Deaf()
    yield made
    made.let_go()


def begin(deaf: Deaf, call: Callable[[], Any]) -> None:
    """Make a call that nobody waits for, and wait until it is there."""

    def quietly() -> None:
        with contextlib.suppress(ToolError):
            call()

    threading.Thread(target=quietly).start()
    assert deaf.begun.wait(30)


def of_stay(deaf: Deaf) -> Callable[[Toolset], Toolset]:
    async def stay(name: str) -> str:
        """Stay."""
        await deaf.wait()
        return name

    return lambda _: Toolset.of(stay, name="host")


def test_a_tool_that_does_not_hear_that_it_is_cancelled_is_given_up(open_line: Open, deaf: Deaf):
    heard: list[ToolCall] = []
    session = open_line(change=of_stay(deaf), after=heard.append)
    begin(deaf, lambda: session.tools["stay"]("x"))
    session.finish()
    gc.collect()
    (call,) = session.counter.calls

    assert (call.outcome, call.message) == (
        "cancelled",
        "it goes on, and may still have its effect",
    )
    assert "cancelled before its end: it goes on" in str(call)
    assert "did not finish; it goes on, and may still have its effect" in note([call])
    assert deaf.ended == []
    deaf.settle(session)
    assert (session.counter.calls, heard) == ([call], [])


def test_the_time_of_a_call_holds_for_a_tool_that_does_not_hear_of_it(open_line: Open, deaf: Deaf):
    session = open_line(ToolLimits(call_seconds=0.05), of_stay(deaf))
    with pytest.raises(TimeoutError, match=r"had not answered after 0\.05 s; it goes on"):
        session.tools["stay"]("x")

    deaf.settle(session)
    assert session.counter.calls[0].kind == "timeout"


def test_a_yes_of_one_who_does_not_hear_that_it_is_too_late_calls_nothing(
    open_line: Open, deaf: Deaf
):
    async def approve(_request: ApprovalRequest) -> bool:
        await deaf.wait()
        return True

    limits = ToolLimits(approval_seconds=0.05)
    session = open_line(limits, lambda tools: tools.permit({"host/echo": "ask"}), approve=approve)
    with pytest.raises(PermissionError, match=r"nobody decided within 0\.05 s"):
        session.tools["echo"](1)

    deaf.settle(session)
    assert session.world.seen == []


def test_what_is_told_of_a_call_that_was_given_up_is_for_nobody(open_line: Open, deaf: Deaf):
    told: list[str] = []

    async def stay(name: str, call: Call) -> str:
        """Stay."""
        call.progress("before")
        await deaf.wait()
        call.progress("after")
        return name

    session = open_line(
        change=lambda _: Toolset.of(stay, name="host"),
        on_progress=lambda _call, text, _done, _total: told.append(text),
    )
    begin(deaf, lambda: session.tools["stay"]("x"))
    session.finish()
    deaf.settle(session)

    assert told == ["before"]


def test_the_functions_of_one_call_share_their_context_variables(open_line: Open):
    place: ContextVar[str] = ContextVar("place", default="nowhere")
    seen: list[str] = []

    async def before(_request: ApprovalRequest) -> None:
        seen.append(place.get())
        place.set("before")

    async def stay(name: str) -> str:
        """Stay."""
        seen.append(place.get())
        place.set(name)
        return name

    async def after(_call: ToolCall) -> None:
        seen.append(place.get())

    session = open_line(change=lambda _: Toolset.of(stay, name="host"), before=before, after=after)
    session.tools["stay"]("one")
    session.tools["stay"]("two")

    assert seen == ["nowhere", "before", "one", "nowhere", "before", "two"]
