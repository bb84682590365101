"""The tools of one sandbox as the host has them: found by name, told to the code, counted for each execution."""

from __future__ import annotations

import asyncio
import contextvars
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from protocell._broker.absent import Absent
from protocell._broker.cancelling import joined
from protocell._broker.counter import Counter
from protocell._broker.hooks import Hooks, call_in_place, fault
from protocell._broker.redaction import Redaction, is_redacted
from protocell._broker.runtime import Runtime, of_this_process
from protocell._catalogue import tokens
from protocell._catalogue.account import Prices, TokenAccount, account, prices
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.entries import Card, cards
from protocell._catalogue.levels import View
from protocell._catalogue.shapes import Shapes
from protocell._catalogue.showing import shown
from protocell._waiter import AsyncioWaiter, Waiter
from protocell.calls import ToolCall
from protocell.tools.access import Progress, Tools
from protocell.tools.call_log import CallLog
from protocell.tools.errors import ToolError
from protocell.tools.selection import Patterns
from protocell.tools.tool import Question, Reply, Tool
from protocell.tools.validation import not_found

if TYPE_CHECKING:
    from protocell.execution import Execution

T = TypeVar("T")


class Desk:
    """Where the calls of a sandbox's code are taken."""

    def __init__(self, tools: Tools, runtime: Runtime | None = None) -> None:
        self._tools = tools
        self.limits = tools.limits
        self.approve = tools.approve
        self._redaction = Redaction(tools.redact)
        self._replay = tools.replay.log() if tools.replay is not None else None
        self._runtime = runtime
        self._seen = Shapes()
        # Until a server says that its list is another one, or a tool gave something for the first time.
        self._found: dict[str, Tool] | None = None
        self._last_found: dict[str, Tool] = {}
        self._cards: list[Card] | None = None
        self._absent = Absent()
        self._changes = 0  # so that nothing is kept that was found out before one of these
        self._finding = asyncio.Lock()
        # The same for the whole session, so that the caches of prompts hold, until somebody asks for another one.
        self._view: View | None = None
        self._prices: Prices | None = None
        # Its own: functions that do not come back would take the threads of all other sandboxes.
        self._threads = ThreadPoolExecutor(tools.limits.at_once, "protocell tool")
        # Apart: a function that waits for an answer has a thread of the others until it is there.
        self._asking = ThreadPoolExecutor(tools.limits.at_once, "protocell question")
        self.budgets = tools.budgets
        self.largest_answers: dict[str, int] = {}
        """In bytes, of each tool that has given one."""
        self._budgeted = Patterns(tools.budgets, strict_for="budgets")
        self.hooks = Hooks(tools, self.in_thread)
        for pool in (self._threads, self._asking):
            weakref.finalize(self, pool.shutdown, wait=False, cancel_futures=True)
        weakref.finalize(self, tools.toolset.on_change(_forgetting(weakref.ref(self))))

    @property
    def runtime(self) -> Runtime:
        """Where its tools run, once it is known."""
        assert self._runtime is not None  # noqa: S101  (``cards`` comes first)
        return self._runtime

    async def cards(self, waiter: Waiter) -> list[Card]:
        """What the code is to find: asked of the tools' sources, which are started where they are not."""
        if self.counts_tokens and self._prices is None:
            # Now, so that what is wrong with it is said when nothing has run.
            await self.view(waiter)
        if self._cards is None or self._absent.are_due:
            changes = self._changes
            catalogue = await self._catalogue(waiter)
            found = [*cards(catalogue), *self._absent.cards(catalogue)]
            if found == self._cards:
                return self._cards
            self._cards = found if changes == self._changes else None
            return found
        return self._cards

    async def view(self, waiter: Waiter, *, refresh: bool = False) -> View:
        """What a model is shown; raises as ``showing.shown``, and where a server cannot be reached."""
        before = self._view
        if before is not None and not refresh:
            return before
        digests = None if before is None else before.digests
        catalogue = await self._catalogue(waiter)
        # Of a server that is absent nobody knows whether it has what is pinned.
        strict = before is None and not self._absent
        look = partial(shown, catalogue, self._tools, digests, strict=strict)
        view = self._with_notes(await waiter.apart(look))
        if self._view is not before and self._view is not None and not refresh:
            return self._view  # somebody else was faster
        if self.counts_tokens:
            self._prices = await waiter.apart(partial(prices, catalogue, view))
        self._view = view
        return view

    def _with_notes(self, view: View) -> View:
        notes = self.notes()
        if not notes:
            return view
        text = "\n".join((view.text, *notes))
        return replace(view, text=text, count=tokens.count(text))

    def notes(self) -> list[str]:
        """Of each server that did not start, that it is not there, and why."""
        return self._absent.notes()

    async def _catalogue(self, waiter: Waiter) -> Catalogue:
        if self._runtime is None:
            is_async = isinstance(waiter, AsyncioWaiter)
            self._runtime = Runtime.here() if is_async else of_this_process()
        found = await self._runtime.result(self.tools(again=True), waiter)
        return Catalogue.of(found.values(), seen=self._seen.schemas())

    @property
    def counts_tokens(self) -> bool:
        """Whether executions have an account."""
        return self._tools.account

    def account(self, code: str, execution: Execution) -> TokenAccount | None:
        """Of an execution that has ended; may take long."""
        return None if self._prices is None else account(self._prices, code, execution)

    async def tools(self, *, again: bool = False) -> Mapping[str, Tool]:
        """What there is now, by id; in the runtime's loop. ``again``: servers that did not start are tried again."""
        if self._found is not None and not (again and self._absent.are_due):
            return self._found
        async with self._finding:
            if self._found is None or (again and self._absent.are_due):
                return await self._find()
            return self._found

    async def _find(self) -> Mapping[str, Tool]:
        changes, began = self._changes, time.monotonic()
        tools, missing = await joined(self._tools.toolset.reachable)
        found = {tool.id: tool for tool in tools}
        # Of a server that was there: a call of its tools looks whether it is there again.
        found |= {name: tool for name, tool in self._last_found.items() if tool.server in missing}
        if missing and not found:
            raise next(iter(missing.values()))
        for named in (self._budgeted, self._redaction):
            named.check(tuple(found.values()), missing)
        if self._absent.put(missing, time.monotonic() - began):
            self._cards = None
        self._last_found = found
        self._found = found if changes == self._changes else None
        return found

    async def tool(self, name: str) -> Tool:
        """The one with this id; in the runtime's loop.

        Raises:
            ToolError: there is none, or its server did not start.
        """
        server = name.partition("/")[0]
        tools = await self.tools(again=server in self._absent)
        if name in tools:
            return tools[name]
        if server in self._absent:
            raise self._absent.error(server, name)
        raise not_found(name, tools.values())

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do it where it may block; in the runtime's loop."""
        return await _in_thread(self._threads, work)

    def forget(self) -> None:
        """A server's list is another one."""
        self._changes += 1
        self._found = self._cards = None

    def counter(self, execution: int, retry_of: Sequence[ToolCall] = ()) -> Counter:
        """For the calls of one execution; those of another one that were completed are not made again."""
        if retry_of and self._replay is None:
            earlier = CallLog(filter(_can_be_served, retry_of))
            return Counter(self, execution, earlier)
        return Counter(self, execution, self._replay)

    @property
    def log_room(self) -> int:
        """Bytes of answers that one execution's log may keep."""
        recorded = 0 if self._tools.record is None else self._tools.record.room
        return max(self.limits.log_bytes, recorded)

    def record(self, calls: Sequence[ToolCall]) -> None:
        """Of an execution that has ended."""
        if self._tools.record is not None:
            self._tools.record.add(self._last_found, calls)

    def see(self, tool: Tool, value: Any) -> None:
        """Remember of what shape a value is, where its tool does not say."""
        if tool.output_schema is None:
            is_new = tool.id not in self._seen
            self._seen.see(tool.id, value)
            if is_new:
                self._changes += 1
                self._cards = None

    def redacted(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments for the log."""
        return self._redaction.redacted(self._last_found.get(tool), arguments)

    @property
    def on_progress(self) -> Progress | None:
        """Who hears how far calls are."""
        return self._tools.on_progress

    async def ask(self, question: Question) -> Reply:
        """Ask a person, if there is one.

        Raises:
            ToolError: whoever asks has failed.
        """
        asked = self._tools.ask
        if asked is None:
            return Reply(action="decline")
        in_thread = partial(_in_thread, self._asking)
        try:
            reply = await joined(partial(call_in_place, asked, question, in_thread))
        except ToolError:
            raise
        except (Exception, SystemExit) as error:  # an exit is not that of the loop of all tools
            raise fault("ask=", error) from error
        if not isinstance(reply, Reply):
            raise fault("ask=", said=f"returned {type(reply).__name__}; allowed is Reply(...)")
        return reply


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    run = partial(contextvars.copy_context().run, _outcome, work)
    value: T
    value, failure = await asyncio.get_running_loop().run_in_executor(pool, run)
    if failure is not None:
        raise failure
    return value


def _outcome(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What came of it as data: no future of asyncio takes a StopIteration, and who waits would wait for ever."""
    try:
        return work(), None
    except BaseException as failure:  # noqa: BLE001 - see above
        return None, failure


def _can_be_served(call: ToolCall) -> bool:
    """Whether it was completed, and with arguments that are known: what is redacted may have been another secret."""
    return call.outcome in ("ok", "withheld") and not is_redacted(call.arguments)


def _forgetting(desk: weakref.ref[Desk]) -> Callable[[], None]:
    """For a toolset, which may outlive many a desk."""

    def changed() -> None:
        if (one := desk()) is not None:
            one.forget()

    return changed
