"""The one file that may touch ctypes: system calls, prctl, and a fork with namespace flags.

Theory of operation
-------------------
Everything here runs in the zygote, in init, or in a context before its first byte of model code.
The C library is opened with ``PyDLL``: the GIL is kept during a call, so none of these calls may
block.  A failing call raises ``OSError`` with the errno, never returns -1.

``clone`` is ``os.fork`` with flags.  CPython offers no such call, and the alternative, fork +
unshare + fork, pays twice for copying the page tables of a process with pandas in it (3 ms each,
docs/adr/0003).  It does what the C library's ``fork`` does in the system call: CLONE_CHILD_SETTID on
the address of the thread's cached id, so that ``raise`` and mutex owners stay right.  That address is
what the C library gave to set_tid_address(2), and the kernel returns it by PR_GET_TID_ADDRESS.

It leaves out what CPython does after ``os.fork`` (``PyOS_AfterFork_Child``: fresh locks, the hooks of
``os.register_at_fork``).  That is for the locks and threads of a process with several threads, and for
code that goes on working in the child; it writes to 150 pages, each of which is copied.  So the process
must have one thread only, which the caller sees to; the child may fork with ``os.fork`` again, whose
own child then has all of it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from ctypes import c_int, c_long, c_ulong, c_void_p
from typing import TypeAlias

Buffer: TypeAlias = "ctypes.Array[ctypes.c_char]"
Argument: TypeAlias = "int | bytes | Buffer | None"

PR_GET_TID_ADDRESS = 40
CLONE_PIDFD = 0x00001000
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_CHILD_SETTID = 0x01000000

_CLONE_NUMBER = {"x86_64": 56, "aarch64": 220}

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = c_long
_prctl = _libc.prctl
_prctl.argtypes = [c_int, c_ulong, c_ulong, c_ulong, c_ulong]
_prctl.restype = c_int
# What it writes can have to wait for a reader: the GIL is let go.
_stdio = ctypes.CDLL(None)
_IOLBF = 1


class UnsupportedMachineError(OSError):
    """There is no system call table for this processor."""


def machine() -> str:
    """The processor's name as in the tables: ``x86_64`` or ``aarch64``."""
    name = platform.machine()
    if name not in _CLONE_NUMBER:
        raise UnsupportedMachineError(f"protocell has no system call table for {name!r}")
    return name


def buffer(data: bytes) -> Buffer:
    """A block of memory whose address is passed when it is given to ``syscall``."""
    return ctypes.create_string_buffer(data, len(data))


def address_of(block: Buffer) -> int:
    """The address of a buffer, for structures that point to it; the caller keeps it alive."""
    return ctypes.addressof(block)


def _word(argument: Argument) -> object:
    # ctypes passes a Python int as a C int: pointers and 64-bit flags would be cut in half.
    return c_ulong(argument) if isinstance(argument, int) else argument


def syscall(number: int, *arguments: Argument) -> int:
    """Make a system call; raises OSError with the kernel's errno."""
    result: int = _syscall(c_long(number), *[_word(argument) for argument in arguments])
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, a2: int = 0, a3: int = 0, a4: int = 0, a5: int = 0) -> int:
    """prctl(2); raises OSError with the kernel's errno."""
    result: int = _prctl(option, a2, a3, a4, a5)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def buffer_lines() -> None:
    """setvbuf(3) for C's stdout: a line goes out when it ends. Before anything is written there."""
    _stdio.setvbuf(c_void_p.in_dll(_stdio, "stdout"), None, _IOLBF, c_ulong(0))


def flush_stdout() -> None:
    """fflush(3) for C's stdout alone: another FILE can be locked by a thread that reads it."""
    _stdio.fflush(c_void_p.in_dll(_stdio, "stdout"))


def _thread_id_address() -> int:
    slot = c_void_p()
    prctl(PR_GET_TID_ADDRESS, ctypes.addressof(slot))
    address = slot.value or 0
    if not address or c_int.from_address(address).value != os.getpid():
        raise OSError(0, "the C library's thread id is not where PR_GET_TID_ADDRESS says")
    return address


def clone(flags: int) -> tuple[int, int]:
    """Fork into the namespaces that ``flags`` name; (0, -1) in the child, pid and pidfd in the parent."""
    thread_id = _thread_id_address()
    pidfd = c_int(-1)
    number = _CLONE_NUMBER[machine()]
    word = flags | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | signal.SIGCHLD
    # clone(2): x86-64 takes (flags, stack, parent_tid, child_tid, tls), aarch64 swaps the last two.
    tail = (thread_id, 0) if number == _CLONE_NUMBER["x86_64"] else (0, thread_id)
    pid: int = _syscall(
        c_long(number), c_ulong(word), None, ctypes.byref(pidfd), *[c_ulong(a) for a in tail]
    )
    if pid == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"clone: {os.strerror(code)}")
    return pid, pidfd.value if pid else -1
