"""Large values on both sides of a line: cut into pieces, mixed with small ones, given up half way, and never stuck."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from protocell.tools.limits import ToolLimits
from protocell_guest import values
from protocell_guest.content import Image, Resource
from protocell_guest.guest.tool_errors import ToolBudgetError
from protocell_guest.parcels import CALL, CANCEL, FRAME_BYTES, HEAD, PART_BYTES, Parcel
from tests.broker.conftest import Open

BLOB = bytes(range(256)) * 8192


def read(far: Any, until: tuple[int, bytes]) -> Iterator[tuple[int, bytes, int]]:
    """Number, kind and size of each frame that comes, to the one of this number and kind."""
    far.settimeout(30)
    while True:
        head = b""
        while len(head) < HEAD.size:
            head += far.recv(HEAD.size - len(head))
        size, number, kind = HEAD.unpack(head)
        left = size
        while left:
            left -= len(far.recv(left))
        yield number, kind, size
        if (number, kind) == until:
            return


def call(number: int, tool: str, **arguments: Any) -> bytes:
    parcel = values.pack({"tool": tool, "arguments": arguments, "raw": False})
    return b"".join(parcel.frames(number, CALL))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(BLOB, id="bytes"),
        pytest.param("x" * 3_000_000, id="text"),
        pytest.param("ä\ud800" * 500_000, id="text of any kind"),
        pytest.param([{"id": number} for number in range(100_000)], id="many small things"),
        pytest.param({"a": [BLOB, {"b": "y" * PART_BYTES}], "$text": 0}, id="deep inside"),
        pytest.param([Image(BLOB, "image/png"), Resource("x:a", "", "z" * 70_000)], id="objects"),
        pytest.param(("k" * PART_BYTES, {"k" * PART_BYTES: 1}), id="keys"),
        pytest.param("x" * (PART_BYTES - 1), id="just too small to be beside"),
        pytest.param(b"x" * FRAME_BYTES, id="a frame and no more"),
        pytest.param(b"x" * (FRAME_BYTES + 1), id="a frame and one byte"),
    ],
)
def test_a_large_value_comes_back_as_it_went(open_line: Open, value: Any):
    session = open_line()

    assert session.tools["echo"](value) == value
    assert session.world.seen == [value]


def test_a_small_answer_overtakes_a_large_one(open_line: Open):
    session = open_line()
    with session.counter.far.dup() as far:
        far.sendall(call(1, "host/many", count=4_000_000) + call(2, "host/echo", value=2))
        came = list(read(far, until=(1, b"v")))

    assert came.index((2, b"v", 1)) < 3
    assert max(size for _, _, size in came) == FRAME_BYTES


def test_an_answer_that_is_not_wanted_any_more_ends_between_two_frames(open_line: Open):
    session = open_line()
    with session.counter.far.dup() as far:
        far.sendall(call(1, "host/many", count=50_000_000))
        far.recv(1, 2)  # MSG_PEEK: it is on its way
        far.sendall(HEAD.pack(0, 1, CANCEL) + call(2, "host/echo", value=2))
        came = list(read(far, until=(2, b"v")))

    assert 0 < sum(size for number, _, size in came if number == 1) < 50_000_000
    session.finish()
    assert [one.outcome for one in session.counter.calls] == ["ok", "ok"]


def test_a_task_may_give_up_at_any_moment_of_a_large_answer(open_line: Open):
    tools = open_line().tools

    async def main() -> list[int]:
        after = []
        for steps in range(0, 60, 3):
            task = asyncio.ensure_future(tools["many"](5_000_000))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            after.append(await tools["echo"](steps))
        return after

    assert asyncio.run(main()) == list(range(0, 60, 3))


def test_large_and_small_arguments_of_many_threads_do_not_get_in_each_others_way(open_line: Open):
    echo = open_line().tools["echo"]
    given = [BLOB if number % 3 == 0 else number for number in range(30)]
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(echo, given)) == given


def test_who_sends_more_than_the_host_reads_takes_in_the_answers_meanwhile(open_line: Open):
    session = open_line(ToolLimits(at_once=4))
    echo, given = session.tools["echo"], [str(number) * 3000 for number in range(300)]

    async def main() -> Any:
        return await asyncio.gather(*map(echo, given))

    assert asyncio.run(main()) == given


def test_an_interrupt_between_two_pieces_costs_that_call_alone(
    open_line: Open, monkeypatch: pytest.MonkeyPatch
):
    session = open_line()
    whole = Parcel.frames

    def interrupted(parcel: Parcel, number: int, kind: bytes) -> Iterator[bytes]:
        frames = whole(parcel, number, kind)
        yield next(frames)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Parcel, "frames", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.tools["echo"](BLOB)

    assert session.tools["echo"](BLOB) == BLOB
    assert session.world.seen == [BLOB]


@pytest.mark.parametrize(
    "value, words",
    [
        (b"x" * (1 << 24), "the arguments are 16777282 bytes; at most 16777216 are taken"),
        ([0] * 2_200_000, "the value has 2200009 items; at most 2097152 are allowed"),
    ],
    ids=["bytes", "items"],
)
def test_too_much_for_one_call_is_said_inside_and_costs_nothing_else(
    open_line: Open, value: Any, words: str
):
    echo = open_line().tools["echo"]
    with pytest.raises(ToolBudgetError) as raised:
        echo(value)

    assert words in str(raised.value)
    assert echo(1) == 1


def test_a_parcel_is_kept_in_the_same_way_as_any_value():
    value = {"a": BLOB, "b": "x" * PART_BYTES, "c": Image(BLOB, "image/png")}
    parcel = values.pack(value)

    assert values.sealed(parcel) == values.dumps(value)
    assert len(parcel) == len(parcel.body) + 2 * len(BLOB) + PART_BYTES
    assert values.unpack(parcel) == value


def test_what_is_json_already_is_not_copied_and_not_changed():
    rows = [{"id": 1, "name": "a"}]
    mixed = [rows, (1,)]

    assert values.plain(rows) is rows
    assert values.plain(mixed)[0] is rows
    assert values.encode(rows) is not rows
    assert values.dumps(mixed) == b'[[{"id":1,"name":"a"}],{"$tuple":[1]}]'
    assert mixed == [[{"id": 1, "name": "a"}], (1,)]
