"""How many calls may be begun, by how large their answers are: what is not known yet counts as middling."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from protocell._broker.answers import Answers
from protocell_guest.parcels import ERROR, VALUE, Parcel

MIB = 1 << 20


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)
        yield ours, theirs


async def begun(answers: Answers, numbers: range, tool: str = "shop/order") -> list[bool]:
    """Of each call whether there is room for it, when nothing changes any more; those that wait give up."""
    tasks = [asyncio.ensure_future(answers.room(number, tool)) for number in numbers]
    await asyncio.wait(tasks, timeout=0)
    found = [task.done() for task in tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


def test_of_a_tool_that_has_not_answered_sixteen_calls_begin(
    ends: tuple[socket.socket, socket.socket],
):
    answers = Answers(ends[0], {})

    assert asyncio.run(begun(answers, range(20))) == [True] * 16 + [False] * 4


def test_calls_of_a_slow_tool_begin_without_its_answers(
    ends: tuple[socket.socket, socket.socket],
):
    async def session() -> dict[str, int]:
        largest: dict[str, int] = {}
        answers = Answers(ends[0], largest)
        begin = [answers.room(number, "shop/person") for number in range(1_000)]
        await asyncio.wait_for(asyncio.gather(*begin), 60)
        return largest

    assert asyncio.run(session()) == {"shop/person": 0}


def test_a_slow_tool_that_turns_out_to_give_much_goes_on_one_at_a_time(
    ends: tuple[socket.socket, socket.socket],
):
    async def session() -> list[bool]:
        answers = Answers(ends[0], {"shop/large": 0})  # slow so far
        for number in range(3):
            await answers.room(number, "shop/large")
        reading = asyncio.ensure_future(read(ends[1]))
        await answers.send(2, VALUE, Parcel(bytes(100 * MIB)))
        reading.cancel()
        return await begun(answers, range(3, 4), "shop/large")

    assert asyncio.run(session()) == [False]


def test_a_small_answer_makes_room_for_all(ends: tuple[socket.socket, socket.socket]):
    async def session() -> list[bool]:
        answers = Answers(ends[0], {})
        await answers.room(1, "shop/order")
        await answers.send(1, VALUE, Parcel(b"10"))
        return await begun(answers, range(2, 102))

    assert asyncio.run(session()) == [True] * 100


def test_of_a_tool_that_gives_much_one_call_goes_on_at_a_time(
    ends: tuple[socket.socket, socket.socket],
):
    answers = Answers(ends[0], {"shop/large": 100 * MIB})

    assert asyncio.run(begun(answers, range(3), "shop/large")) == [True, False, False]


def test_a_call_that_gives_nothing_leaves_its_room_to_others(
    ends: tuple[socket.socket, socket.socket],
):
    async def session() -> list[bool]:
        answers = Answers(ends[0], {})
        first = await begun(answers, range(16))
        answers.leave(3)
        return first[-1:] + await begun(answers, range(20, 22))

    assert asyncio.run(session()) == [True, True, False]


async def read(end: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(end, MIB):
        pass


def test_while_much_is_not_read_none_begins(ends: tuple[socket.socket, socket.socket]):
    async def session() -> tuple[list[bool], list[bool]]:
        answers = Answers(ends[0], {"shop/order": 2})
        for number in (1, 2):
            await answers.room(number, "shop/order")
        large = [Parcel(bytes(65 * MIB)), Parcel(bytes(66 * MIB))]
        sending = [
            asyncio.ensure_future(answers.send(number, VALUE, parcel))
            for number, parcel in enumerate(large, start=1)
        ]
        await asyncio.wait(sending, timeout=0)
        unread = await begun(answers, range(3, 4), "shop/small")
        for number in (1, 2):
            answers.withdraw(number)
        reading = asyncio.ensure_future(read(ends[1]))
        await asyncio.gather(*sending)
        reading.cancel()
        return unread, await begun(answers, range(4, 5), "shop/small")

    assert asyncio.run(session()) == ([False], [True])


def test_an_error_says_nothing_of_how_large_answers_are(ends: tuple[socket.socket, socket.socket]):
    async def session() -> dict[str, int]:
        largest: dict[str, int] = {}
        answers = Answers(ends[0], largest)
        for number, (tool, kind) in enumerate([("shop/error", ERROR), ("shop/order", VALUE)]):
            await answers.room(number, tool)
            await answers.send(number, kind, Parcel(b"12345"))
        return largest

    assert asyncio.run(session()) == {"shop/order": 5}


def test_the_answer_of_a_tool_that_was_not_called_needs_no_room(
    ends: tuple[socket.socket, socket.socket],
):
    async def session() -> dict[str, int]:
        largest: dict[str, int] = {}
        await Answers(ends[0], largest).send(1, ERROR, Parcel(b"12345"))
        return largest

    assert asyncio.run(session()) == {}
