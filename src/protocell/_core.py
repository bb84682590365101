"""A sandbox's life on the host, written once; ``Sandbox`` and ``AsyncSandbox`` are its two faces.

Every method that waits is a coroutine and waits through the ``Waiter`` it was given (``_waiter``).
One execution at a time; ``kill`` and ``interrupt`` may be called from any thread.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from protocell import _workspace
from protocell._box import Box
from protocell._launch import launch, prepare_next
from protocell._output import decoded
from protocell._paths import bad_path
from protocell._place import Place
from protocell._transfer import Content, content_of
from protocell._turn import Outcome, Turn
from protocell._verdict import Terms, error_of, judge, usage_of
from protocell._waiter import Waiter
from protocell.errors import BusyError, ClosedError, PolicyError, ProtocellError, SandboxDiedError
from protocell.execution import Execution, Logs, Result
from protocell.files import Entry, FileSet, Listing
from protocell.limits import MIB
from protocell.policy import Policy

MAX_CODE_CHARACTERS = 32 * MIB
MAX_TIMEOUT_SECONDS = 24 * 3600.0

_DEFAULT_POLICY = Policy()
OnText = Callable[[str], None]


class Core:
    """One sandbox: made when it is first needed, gone when it is closed or forgotten."""

    def __init__(self, policy: Policy | None, waiter: Waiter, *, once: bool = False) -> None:
        if policy is not None and not isinstance(policy, Policy):
            raise PolicyError(f"policy is {type(policy).__name__}; allowed is Policy(...) or None")
        self.policy = policy or _DEFAULT_POLICY
        self._waiter = waiter
        self._once = once  # it is closed after the first execution
        self._owes_next = False  # one was taken; the next is asked for when that holds up nobody
        self._place: Place | None = None
        self._count = 0
        self._owner = os.getpid()
        self._turn = threading.Lock()
        self._closed = False
        self._interrupted = False
        self._wait_seconds = 0.0

    # -- life -------------------------------------------------------------------------------------

    async def open(self) -> Place:
        """The sandbox, made if it is not there yet."""
        self._check_usable()
        if self._place is None:
            with self._my_turn("wait for it"):
                await self._opened()
        assert self._place is not None  # noqa: S101  (by ``_opened``)
        return self._place

    async def _opened(self) -> Place:
        """As ``open``, for whoever has the turn."""
        self._check_usable()
        if self._place is None:
            started = time.monotonic()
            box = await launch(self.policy, self._waiter)
            self._wait_seconds = time.monotonic() - started
            self._owes_next = True
            # At exit a kernel sandbox ends with its zygote; a thread may be using its descriptors.
            weakref.finalize(self, box.close).atexit = self.policy.isolation == "process"
            try:
                self._place = Place(box, self.policy, self._waiter)
            except BaseException:
                box.close()
                raise
            self._check_usable()  # who closed it meanwhile found nothing to end
        return self._place

    def _prepare_next(self) -> None:
        """Have sandboxes made for the next callers, when it does not hold up this one."""
        if self._owes_next:
            self._owes_next = False
            prepare_next(self.policy)

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError("this sandbox was closed or killed; make a new one")
        if self._owner != os.getpid():
            message = "this sandbox belongs to the process from which this one was forked"
            raise ClosedError(f"{message}; make a new one here")

    @contextmanager
    def _my_turn(self, advice: str) -> Iterator[None]:
        """One at a time; whoever has it closes what was closed meanwhile."""
        if not self._turn.acquire(blocking=False):
            raise BusyError(f"this sandbox is running code; {advice}")
        try:
            yield
        finally:
            self._turn.release()
            if self._closed:
                self.close()
            elif not self._once:
                self._prepare_next()

    def close(self) -> None:
        """End the sandbox and everything in it; a running execution ends with status ``killed``."""
        self._closed = True
        if self._turn.acquire(blocking=False):
            try:
                if self._place is not None:
                    self._place.close()
            finally:
                self._turn.release()
            self._prepare_next()
        elif self._place is not None and self._owner == os.getpid():
            self._place.box.end()  # whoever has the turn closes it

    def interrupt(self) -> None:
        """KeyboardInterrupt in the running code."""
        if self._place is not None and self._turn.locked() and self._owner == os.getpid():
            self._interrupted = True
            self._place.box.interrupt()

    # -- executions -------------------------------------------------------------------------------

    async def run_code(
        self,
        code: str,
        *,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> Execution:
        """Run one piece of code."""
        _check_code(code)
        wall_seconds = self._wall_seconds(timeout)
        self._check_usable()
        with self._my_turn("wait for it or make another sandbox"):
            place = await self._opened()
            turn = await self._prepare(place.box, on_stdout, on_stderr)
            outcome = await self._run(turn, place, code, wall_seconds)
            files = await place.scan()
            return self._execution(turn, outcome, wall_seconds, place.box, files)

    async def _prepare(self, box: Box, on_stdout: OnText | None, on_stderr: OnText | None) -> Turn:
        await box.settle(self._waiter)
        if not box.alive:
            try:
                await box.renew(self._waiter)
            except ProtocellError:
                self._check_usable()
                raise
            self._check_usable()  # a new interpreter was not there to be ended
        self._interrupted = False
        self._count += 1
        return Turn(
            box,
            self.policy.limits,
            number=self._count,
            meanwhile=self._prepare_next,
            on_stdout=decoded(on_stdout),
            on_stderr=decoded(on_stderr),
        )

    async def _run(self, turn: Turn, place: Place, code: str, wall_seconds: float) -> Outcome:
        box = place.box
        try:
            outcome = await turn.run(code, wall_seconds, self._waiter)
            if self._once and box.alive and place.has_files():
                box.end()  # files are taken out when nobody is left to change them
                with suppress(SandboxDiedError):
                    await box.ended(self._waiter)
        except BaseException:
            # The caller was torn away (Ctrl-C, task cancelled): the code must not go on.
            if box.alive:
                box.alive = False
                box.end()
            raise
        return outcome

    def _execution(
        self, turn: Turn, outcome: Outcome, wall_seconds: float, box: Box, files: FileSet
    ) -> Execution:
        terms = Terms(
            limits=self.policy.limits,
            wall_seconds=wall_seconds,
            interrupted=self._interrupted,
            killed=self._closed,
        )
        status, reason = judge(outcome, terms)
        wait, self._wait_seconds = self._wait_seconds, 0.0
        return Execution(
            status=status,
            reason=reason,
            files=files,
            results=[
                Result(by_mime=message.formats, is_main_result=message.main)
                for message in outcome.results
            ],
            logs=Logs(stdout=turn.stdout.lines(), stderr=turn.stderr.lines()),
            error=error_of(outcome),
            exit_code=outcome.exit_code,
            execution_count=self._count,
            usage=usage_of(outcome, wait),
            enforced=box.enforced,
        )

    def _wall_seconds(self, timeout: float | None) -> float:
        if timeout is None:
            return self.policy.limits.wall_seconds
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise PolicyError(f"timeout is {timeout!r}; allowed is a number of seconds or None")
        if not math.isfinite(timeout) or not 0 < timeout <= MAX_TIMEOUT_SECONDS:
            allowed = f"more than 0 and at most {MAX_TIMEOUT_SECONDS:g} seconds"
            raise PolicyError(f"timeout is {timeout!r}; allowed is {allowed}")
        return float(timeout)

    # -- files ------------------------------------------------------------------------------------

    async def write_file(self, path: str, data: Content) -> Entry:
        """Put a file into the workspace: bytes, text (UTF-8), or the content of a host file."""
        parts = _workspace.normalise(path)
        if not parts:
            raise bad_path(path, "is the workspace itself; name a file in it")
        most = self.policy.limits.file_bytes
        content = await self._waiter.apart(partial(content_of, path, data, most))
        self._check_usable()
        with self._my_turn("write files before or after"):
            place = await self._opened()
            await place.write("/".join(parts), content)
        return Entry(name=parts[-1], type="file", size=len(content))

    async def read_file(self, path: str) -> bytes:
        """The content of a regular file of the workspace."""
        most = self.policy.limits.files_out_bytes
        look = partial(_workspace.read, path=path, max_bytes=most)
        return await (await self.open()).look(look)

    async def list_files(self, path: str) -> Listing:
        """What is in a folder of the workspace."""
        most = self.policy.limits.workspace_inodes
        look = partial(_workspace.list_directory, path=path, max_entries=most)
        return await (await self.open()).look(look)


def _check_code(code: object) -> None:
    if not isinstance(code, str):
        raise PolicyError(f"code is {type(code).__name__}; allowed is text (str)")
    if len(code) > MAX_CODE_CHARACTERS:
        most = f"{MAX_CODE_CHARACTERS:,} characters"
        raise PolicyError(f"code has {len(code):,} characters; at most {most}: pass data as files")


async def run_once(
    code: str,
    policy: Policy | None,
    files: Mapping[str, Content] | None,
    timeout: float | None,
    waiter: Waiter,
) -> Execution:
    """A sandbox used once."""
    core = Core(policy, waiter, once=True)
    _check_code(code)
    core._wall_seconds(timeout)
    try:
        for path, data in (files or {}).items():
            await core.write_file(path, data)
        return await core.run_code(code, timeout=timeout)
    finally:
        core.close()
