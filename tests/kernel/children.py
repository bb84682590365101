"""Runs a function in a forked child and brings back its value, or how the child ended.

What these tests do to a process cannot be undone (domains, dropped capabilities, limits), so each does it to a child.
"""

import errno
import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

NOBODY = 65533


@dataclass
class EndedError(Exception):
    """The child ended without a value, by this signal (0: by itself)."""

    signal: int


def in_child(function: Callable[[], Any]) -> Any:
    """Return what the function returns in a child, as JSON carries it.

    Raises EndedError for a child that was killed, AssertionError with its traceback for one that raised.
    """
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        _answer(function, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.readline()  # not to the end: a grandchild may live on and hold it open
    _, status = os.waitpid(pid, 0)
    if not answer:
        raise EndedError(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)
    message = json.loads(answer)
    assert "raised" not in message, message["raised"]
    return message["value"]


def fork() -> int:
    """Fork although pytest's watchdog (faulthandler_timeout) is a thread: it is written in C and holds no lock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _answer(function: Callable[[], Any], writer: int) -> None:
    try:
        message = {"value": function()}
    except BaseException:  # noqa: BLE001  (the parent raises it again)
        message = {"raised": traceback.format_exc()}
    # Nothing of pytest may run in the child, whatever happens.
    try:
        os.write(writer, json.dumps(message).encode() + b"\n")
    finally:
        sys.stdout.flush()
        os._exit(0)


def outcome(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    """Return "ok", or the name of the errno with which the kernel refused."""
    try:
        result = call(*arguments, **keywords)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    if isinstance(result, int) and call is os.open:
        os.close(result)
    return "ok"


def become_nobody() -> None:
    """Give up root for an id that belongs to nobody."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def needs_root() -> None:
    """Skip the running test for an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def eventually(condition: Callable[[], Any]) -> bool:
    """Ask again and again for up to five seconds: the kernel takes processes down in its own time."""
    deadline = time.monotonic() + 5.0
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


def end(pid: int) -> None:
    """Kill and reap a child."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
