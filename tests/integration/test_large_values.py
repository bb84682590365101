"""A hundred megabytes between code and tools: in pieces, once in the memory of each side, and in nobody's way."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell import Limits, Policy, Sandbox
from protocell._broker.runtime import of_this_process
from protocell.tools import ToolLimits, Tools, Toolset
from tests.integration.peaks import INSIDE, MIB, growth

of_this_process()  # the one loop of the blocking face, which stays until the process ends
SERVERS = Path(__file__).parent.parent / "tools" / "servers"
SIZE = 100_000_000
VALUE_MIB = SIZE / MIB
ROWS = 300_000
ROOM = 30  # MiB, for all else that happens
# A buffer that grows has left smaller ones behind; below 32 MiB malloc keeps these, in a process that has freed such
# large ones before (mallopt(3), M_MMAP_THRESHOLD).
LEFT_BEHIND = 60


class Store:
    """A host's own code, with one large value at a time in it."""

    def __init__(self) -> None:
        self.value: Any = None

    def give(self) -> Any:
        """What is there."""
        return self.value

    def take(self, value: Any) -> int:
        """How much came."""
        self.value = value
        return len(value)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def sandbox(store: Store) -> Iterator[Sandbox]:
    limits = ToolLimits(argument_bytes=2 * SIZE, log_bytes=1)
    policy = Policy(limits=Limits(memory_bytes="2G", wall_seconds=60))
    tools = Tools(toolset=Toolset.of(store.give, store.take), limits=limits)
    with Sandbox(policy, tools=tools) as sandbox:
        sandbox.run_code("give(); take('')")
        yield sandbox


def inside(sandbox: Sandbox, code: str) -> float:
    """How many MiB more the code had at most than at the beginning."""
    execution = sandbox.run_code(f"{INSIDE}{code}\npeak() - before")
    assert execution.error is None
    assert execution.text is not None
    return float(execution.text)


@pytest.mark.parametrize(
    "unit, count, copies",  # the value itself would be there as long as pytest is
    [
        pytest.param(b"\xff", SIZE, 1, id="bytes"),
        # While it is decoded it is there twice.
        pytest.param("x", SIZE, 2, id="text"),
        pytest.param("\u20ac", SIZE // 3, 2, id="text of many bytes"),
    ],
)
def test_a_large_result_is_not_copied_on_the_host_and_is_one_value_inside(
    sandbox: Sandbox, store: Store, unit: bytes | str, count: int, copies: int
):
    store.value = unit * count
    with growth() as host:
        grown = inside(sandbox, f"value = give()\nassert len(value) == {count}")

    assert host.mib < ROOM
    assert grown < copies * VALUE_MIB + ROOM


@pytest.mark.parametrize(
    "value, copies",
    [
        pytest.param(f"b'\\xff' * {SIZE}", 1, id="bytes"),
        pytest.param(f"'x' * {SIZE}", 2, id="text"),
    ],
)
def test_large_arguments_are_not_copied_inside_and_are_one_value_on_the_host(
    sandbox: Sandbox, store: Store, value: str, copies: int
):
    sandbox.run_code(f"value = {value}")
    with growth() as host:
        grown = inside(sandbox, f"assert take(value) == {SIZE}")

    assert len(store.value) == SIZE
    assert grown < ROOM
    assert host.mib < copies * VALUE_MIB + ROOM + LEFT_BEHIND


def test_a_list_of_many_rows_is_there_once_and_its_text_beside_it(sandbox: Sandbox, store: Store):
    with growth() as one:
        store.value = [{"id": number, "name": f"item {number}"} for number in range(ROWS)]
    with growth() as host:
        grown = inside(sandbox, f"value = give()\nassert len(value) == {ROWS}")

    assert host.mib < 0.5 * one.mib + ROOM
    assert grown < 1.5 * one.mib + ROOM


def test_a_list_of_many_rows_that_is_passed_on_is_there_once_on_the_host(
    sandbox: Sandbox, store: Store
):
    rows = f"[{{'id': number, 'name': f'item {{number}}'}} for number in range({ROWS})]"
    one = inside(sandbox, f"value = {rows}")
    with growth() as host:
        grown = inside(sandbox, f"assert take(value) == {ROWS}")
    assert store.value[-1] == {"id": ROWS - 1, "name": f"item {ROWS - 1}"}
    assert grown < 0.5 * one + ROOM
    assert host.mib < 1.5 * one + ROOM


def test_small_calls_go_on_while_a_large_answer_comes(store: Store):
    store.value = b"x" * SIZE
    code = """
import threading
done = []
large = threading.Thread(target=lambda: done.append(len(give())))
large.start()
count = 0
while not done:
    assert len_of([count]) == 1
    count += 1
large.join()
print(done[0], count > 3)
"""
    with Sandbox(tools=Toolset.of(store.give, len_of, name="host")) as sandbox:
        execution = sandbox.run_code(code)

    assert execution.error is None
    assert execution.logs.stdout == [f"{SIZE} True\n"]


def len_of(value: list[int]) -> int:
    """How many there are."""
    return len(value)


def test_what_a_server_gives_stays_inside_too():
    command = [sys.executable, str(SERVERS / "mcp_new.py"), "stdio"]
    code = f"{INSIDE}text = remote.big(count={SIZE})\nprint(len(text), peak() - before < {2 * VALUE_MIB + ROOM})"
    with Toolset.mcp(command, name="remote") as toolset, Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(code, timeout=60)

    assert execution.error is None
    assert execution.logs.stdout == [f"{SIZE} True\n"]
