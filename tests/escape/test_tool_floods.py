"""Floods of tool calls: many, large, unread, unending; the host stays bounded, and its loop is there for the others.

A host of its own makes each flood, so that what is measured is the flood's. Amounts are the test's: what is sent is
at most 1 GiB, and every execution has an end.
"""

import textwrap
from typing import Any

import pytest

from tests.escape import hosts
from tests.escape.tool_attacks import attack

MIB = 1 << 20

# A host with a hostile sandbox and an honest one, both with these tools. Each flood calls `begin` when it is under way.
_HOST = """
import asyncio, gc, threading
from protocell._broker.runtime import of_this_process
from protocell.tools import ToolLimits, Tools, Toolset

begun, over = threading.Event(), threading.Event()

async def begin() -> None:
    begun.set()

async def order(number: int = 0, note: str = "") -> int:
    return number * 10

async def stay(note: str = "") -> None:
    await asyncio.Event().wait()

async def large() -> str:
    return "x" * (8 << 20)

async def late() -> str:
    await asyncio.sleep(0.1)  # what a service takes: so long all others can begin
    return "x" * (8 << 20)

def block() -> None:
    over.wait(60)

def add(a: int, b: int) -> int:
    return a + b

toolset = Toolset.of(begin, order, stay, large, late, block, add, name="shop")
policy = Policy(environment=Environment(ready=0), limits=Limits(wall_seconds=60, memory_bytes="512M"))

def sandbox(**limits):
    tools = Tools(toolset=toolset, limits=ToolLimits(**{"call_seconds": 20.0, **limits}))
    return Sandbox(policy, tools=tools)

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def flood(hostile, code):
    begun.clear()
    found = []
    thread = threading.Thread(target=lambda: found.append(hostile.run_code(code)))
    thread.start()
    assert begun.wait(60)
    return thread, found

NEIGHBOUR = "[(order(n), add(n, 1)) for n in range(5)]"
"""

_READ = """
def read_all():
    while line.recv(1 << 20): pass
threading.Thread(target=read_all, daemon=True).start()
"""


def host(code: str) -> Any:
    """Return what a host tells that runs this."""
    return hosts.told(_HOST + textwrap.dedent(code), timeout=240)


# -- memory -------------------------------------------------------------------------------------------

# Who writes frames, and who calls functions: numbers go up, so it is one or the other.
_BEGIN = "line.sendall(request(1, 'shop/begin')); answer()\n"
_BEGIN_HONESTLY = "begin()\n"
# By how many MiB the host may grow: by next to nothing where each call is tiny, so that a call that is kept is found.
AMOUNTS: dict[str, tuple[int, str]] = {
    "40,000 tiny calls": (
        24,
        _BEGIN
        + _READ
        + """
for start in range(2, 40_000, 1000):
    line.sendall(b"".join(request(start + n, number=n) for n in range(1000)))
""",
    ),
    "10,000 tiny calls, one after the other": (
        24,
        _BEGIN_HONESTLY
        + """
for number in range(10_000):
    try: order(number)
    except ToolError: pass
""",
    ),
    "a gigabyte of arguments": (
        256,
        _BEGIN_HONESTLY
        + """
text = "x" * 15_000_000
for _ in range(70):
    try: shop.order(1, note=text)
    except ToolError: pass
""",
    ),
    "a gigabyte of arguments for calls that stay": (
        256,
        _BEGIN
        + """
line.settimeout(2)
body = json.dumps({"tool": "shop/stay", "arguments": {"note": "x" * 15_000_000}, "raw": False})
try:
    for number in range(2, 72):
        for each in parcels.Parcel(body.encode()).frames(number, b"c"): line.sendall(each)
except TimeoutError: pass
""",
    ),
    "arguments of many items": (
        128,
        _BEGIN_HONESTLY
        + """
items = [[]] * 400_000
for _ in range(6):
    try: call_tool("shop/order", number=items)
    except ToolError: pass
""",
    ),
    "calls whose answers nobody reads": (
        24,
        _BEGIN
        + """
line.settimeout(2)
try:
    for number in range(2, 100_000): line.sendall(request(number, number=1))
except TimeoutError: pass
""",
    ),
    "large answers that nobody reads": (
        256,
        _BEGIN
        + """
line.settimeout(2)
try:
    for number in range(2, 140): line.sendall(request(number, "shop/large"))
    time.sleep(3)
except TimeoutError: pass
""",
    ),
    "large answers that come late and that nobody reads": (
        256,
        _BEGIN
        + """
line.settimeout(2)
try:
    for number in range(2, 140): line.sendall(request(number, "shop/late"))
    time.sleep(3)
except TimeoutError: pass
""",
    ),
    "a length that is never filled": (
        24,
        _BEGIN
        + """
line.sendall(HEAD.pack(200_000, 2, b"c"))
for _ in range(199): line.sendall(b" " * 1000)
""",
    ),
}


@pytest.mark.claim("tools.host-stays-bounded")
@pytest.mark.parametrize("most, code", AMOUNTS.values(), ids=AMOUNTS)
def test_the_hosts_memory_is_bounded_whatever_is_sent(most: int, code: str) -> None:
    flood = attack(code)
    status, broken, growth, kept, text, opened = host(
        f"""
        with sandbox() as hostile, sandbox() as neighbour:
            hostile.run_code("order(1)")
            neighbour.run_code(NEIGHBOUR)
            before = descriptors()
            def both():
                thread, found = flood(hostile, {flood!r})
                neighbour.run_code(NEIGHBOUR)
                thread.join()
                return found
            (execution,), growth = grown(both)
            kept = sum(len(str(call.arguments)) for call in execution.tool_calls)
            text = neighbour.run_code(NEIGHBOUR).text, hostile.run_code(NEIGHBOUR).text
            broken = [call.message for call in execution.tool_calls if call.kind == "transport"]
            tell([execution.status, broken, growth, kept, text, descriptors() - before])
        """
    )

    assert (status, broken) == ("ok", [])
    assert growth < most * MIB
    assert kept < 64 * MIB
    assert text == ["[(0, 1), (10, 2), (20, 3), (30, 4), (40, 5)]"] * 2
    assert opened == 0


@pytest.mark.twin("tools.host-stays-bounded")
def test_large_arguments_and_large_answers_go_through() -> None:
    assert host(
        """
        with sandbox() as one:
            execution = one.run_code("order(1, note='x' * 15_000_000), len(large()), order(2)")
            tell([execution.text, [call.outcome for call in execution.tool_calls]])
        """
    ) == ["(10, 8388608, 20)", ["ok", "ok", "ok"]]


# -- neighbours ---------------------------------------------------------------------------------------

UNENDING = {
    "cancels": _BEGIN
    + """
data = frame(1, b"x", b"") * 20_000
while True:
    try: line.sendall(data)
    except OSError: pass
""",
    "calls beyond the budget": _BEGIN
    + _READ
    + """
number = 2
while True:
    line.sendall(b"".join(request(number + n, number=1) for n in range(1000)))
    number += 1000
""",
    "unknown tools": _BEGIN
    + _READ
    + """
number = 2
while True:
    line.sendall(b"".join(request(number + n, "shop/unknown" + "n" * 200) for n in range(100)))
    number += 100
""",
    "arguments of many items": _BEGIN_HONESTLY
    + """
items = [[]] * 300_000
while True:
    try: call_tool("shop/order", number=items)
    except ToolError: pass
""",
    "calls that stay": _BEGIN_HONESTLY
    + """
for _ in range(30): threading.Thread(target=stay, daemon=True).start()
stay()
""",
    "calls that block": """
for _ in range(30): threading.Thread(target=block, daemon=True).start()
while on_their_way() < 30: pass
begin()  # after them, in the order in which they were sent
block()
""",
    "large calls that are taken back": _BEGIN
    + """
piece, number = b"x" * 10, 2
while True:
    line.sendall(b"".join(
        frame(number + n, b"p", piece) + frame(number + n, b"x", b"") for n in range(2000)
    ))
    number += 2000
""",
    "answers that nobody reads": _BEGIN
    + """
for number in range(2, 100_000): line.sendall(request(number, "shop/large"))
""",
}


@pytest.mark.claim("tools.neighbours-feel-nothing")
@pytest.mark.parametrize("code", UNENDING.values(), ids=UNENDING)
def test_the_calls_of_another_sandbox_are_answered_while_a_flood_goes_on(
    code: str,
) -> None:
    meanwhile, going, left = host(
        f"""
        loop = of_this_process().loop
        with sandbox() as hostile, sandbox() as neighbour:
            hostile.run_code("order(1)")
            neighbour.run_code(NEIGHBOUR)
            thread, found = flood(hostile, {attack(code)!r})
            meanwhile = [neighbour.run_code(NEIGHBOUR, timeout=15).text for _ in range(3)]
            going = thread.is_alive()
            hostile.kill()
            over.set()
            thread.join(60)
        gc.collect()
        tell([meanwhile, going, len(asyncio.all_tasks(loop))])
        """
    )

    assert meanwhile == ["[(0, 1), (10, 2), (20, 3), (30, 4), (40, 5)]"] * 3
    assert going
    assert left == 0


@pytest.mark.claim("tools.neighbours-feel-nothing")
def test_a_flood_of_refused_calls_does_not_stop_the_clock_of_its_execution() -> None:
    flood = attack(UNENDING["calls beyond the budget"])
    status, seconds = host(
        f"""
        with sandbox(calls=10) as hostile:
            execution = hostile.run_code({flood!r}, timeout=1)
            tell([execution.status, execution.usage.wall_seconds])
        """
    )

    assert status == "timeout"
    assert seconds < 20


@pytest.mark.twin("tools.neighbours-feel-nothing")
def test_two_sandboxes_use_the_same_tools_at_once() -> None:
    assert host(
        """
        with sandbox() as one, sandbox() as other:
            thread, found = flood(one, "begin(); [order(n) for n in range(200)][-1]")
            text = other.run_code(NEIGHBOUR).text
            thread.join()
            tell([found[0].text, text])
        """
    ) == ["1990", "[(0, 1), (10, 2), (20, 3), (30, 4), (40, 5)]"]
