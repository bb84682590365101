"""What is printed leaves with each print, in one write(2), whatever ends it."""

import builtins
import inspect
import io
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest

from protocell_guest.guest import printing, streams

Writes = Callable[[Callable[[], None]], list[bytes]]


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Writes]:
    """The writes that something leads to: with O_DIRECT, a pipe keeps them apart (pipe(2))."""
    reader, writer = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    monkeypatch.setattr(streams, "_made", [])
    monkeypatch.setattr(streams, "_raw", [])
    monkeypatch.setattr(builtins, "print", builtins.print)
    stream = streams.opened(writer)
    printing.install()

    def of(code: Callable[[], None]) -> list[bytes]:
        found: list[bytes] = []
        with redirect_stdout(stream):  # here, as pytest has one of its own for each test
            code()
        while True:
            try:
                found.append(os.read(reader, 65536))
            except BlockingIOError:
                return found

    yield of
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    "values, options, text",
    [
        (("x",), {}, b"x\n"),
        (("x", 1, 2), {}, b"x 1 2\n"),
        (("x",), {"end": ""}, b"x"),
        (("x", "y"), {"end": ".", "sep": ""}, b"xy."),
        (("x",), {"end": None}, b"x\n"),
        (("x",), {"end": "", "flush": True}, b"x"),
        (("x",), {"end": "", "file": None}, b"x"),
        ((), {"end": "\n\n"}, b"\n\n"),
    ],
)
def test_a_print_is_one_write_that_leaves_at_once(
    writes: Writes, values: tuple[object, ...], options: dict[str, Any], text: bytes
):
    assert writes(lambda: print(*values, **options)) == [text]


def test_nothing_is_flushed_that_is_not_the_sandboxs(writes: Writes):
    class Tee:
        def write(self, text: str) -> int:
            return len(text)

    kept = io.StringIO()

    assert writes(lambda: print("x", end="", file=kept)) == []
    assert kept.getvalue() == "x"
    assert writes(lambda: print("x", end="", file=Tee())) == []  # which has no flush()


def test_it_is_print_for_all_who_ask(writes: Writes):
    # By which pickle finds it.
    assert (print.__module__, print.__qualname__) == ("builtins", "print")
    assert inspect.signature(print) == inspect.signature(inspect.unwrap(print))
    with pytest.raises(TypeError, match="keyword argument"):
        writes(lambda: print(1, foo=2))  # type: ignore[call-overload]
