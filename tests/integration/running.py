"""Code that runs in a thread of its own while a test looks at it, and gates in the workspace that hold it up."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from protocell import Environment, Execution, Limits, Policy, Sandbox

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
# A zygote of its own with nothing kept ready, so that its only sandboxes are those that a test holds.
QUIET = Policy(environment=Environment(ready=0))


def limited(**limits: object) -> Policy:
    """The default policy with these limits, and nothing kept ready."""
    return Policy(limits=Limits.from_dict(limits), environment=Environment(ready=0))


def gate(name: str = "go") -> str:
    """Code that goes on when there is a file of this name."""
    return f"import os, time\nwhile not os.path.exists('/home/user/{name}'): time.sleep(0.002)\n"


def begun_and_held(name: str = "go") -> str:
    """As ``gate``, and it says before that it has begun."""
    return f"print('begun', flush=True)\n{gate(name)}"


def output(execution: Execution) -> str:
    """What the code wrote to standard output."""
    return "".join(execution.logs.stdout)


def fine(execution: Execution) -> Execution:
    """The execution, which has to have ended well."""
    assert execution.error is None, execution.error.traceback
    assert execution.status == "ok", execution.reason
    return execution


def settles_at(sandbox: Sandbox, number: int) -> bool:
    """Whether in a moment there are so many processes in its pid namespace: what is killed takes its time."""
    look = "len([n for n in os.listdir('/proc') if n.isdigit()])"
    code = f"import os, time\nend = time.monotonic() + 20\nwhile {look} != {number} and time.monotonic() < end:\n"
    found = fine(sandbox.run_code(f"{code}    time.sleep(0.002)\n{look}"))
    assert found.text == str(number)
    return True


def processes_in(sandbox: Sandbox) -> int:
    """How many processes there are in its pid namespace, init and the interpreter among them."""
    found = fine(
        sandbox.run_code("import os\nlen([n for n in os.listdir('/proc') if n.isdigit()])")
    )
    return int(found.text or "")


class Running(Generic[T]):
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:  # noqa: BLE001  (raised again by ``result``)
            self._error = error

    def told(self, _text: Any) -> None:
        """A callback: it has begun."""
        self.begun.set()

    def wait_until_begun(self) -> None:
        """Until the callback was called."""
        assert self.begun.wait(PATIENCE_SECONDS), self._error or "it told nothing"

    def result(self) -> T:
        """What the call returned, or its exception."""
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive(), "it does not end"
        if self._error is not None:
            raise self._error
        return self._result[0]


@contextmanager
def running(
    run: Callable[..., Execution], code: str, **options: Any
) -> Iterator[Running[Execution]]:
    """The code runs, and has written something; at the end it has ended."""
    holder: list[Running[Execution]] = []
    there = threading.Event()

    def call() -> Execution:
        assert there.wait(PATIENCE_SECONDS)
        return run(code, on_stdout=holder[0].told, **options)

    holder.append(Running(call))
    there.set()
    holder[0].wait_until_begun()
    try:
        yield holder[0]
    finally:
        holder[0].thread.join(PATIENCE_SECONDS)
        assert not holder[0].thread.is_alive(), "the code does not end"
