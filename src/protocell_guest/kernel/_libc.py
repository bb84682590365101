"""The one file that may touch ctypes: system calls, prctl, and a fork with namespace flags.

Theory of operation
-------------------
Everything here runs in the zygote, in init, or in a context before its first byte of model code.
The C library is opened with ``PyDLL``: the GIL is kept during a call, so none of these calls may
block.  A failing call raises ``OSError`` with the errno, never returns -1.

``clone`` is ``os.fork`` with flags.  CPython offers no such call, and the alternative, fork +
unshare + fork, pays twice for copying the page tables of a process with pandas in it (3 ms each,
docs/adr/0003).  It does what CPython's ``os.fork`` does around the system call
(``PyOS_BeforeFork``/``PyOS_AfterFork_*``, public C API), and what the C library's ``fork`` does in
it: CLONE_CHILD_SETTID on the address of the thread's cached id, so that ``raise`` and mutex owners
stay right.  That address is what the C library gave to set_tid_address(2), and the kernel returns
it by PR_GET_TID_ADDRESS.  The process must have one thread only; the caller sees to that.
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
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_CHILD_SETTID = 0x01000000

_CLONE_NUMBER = {"x86_64": 56, "aarch64": 220}

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = c_long
_prctl = _libc.prctl
_prctl.argtypes = [c_int, c_ulong, c_ulong, c_ulong, c_ulong]
_prctl.restype = c_int


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


def _thread_id_address() -> int:
    slot = c_void_p()
    prctl(PR_GET_TID_ADDRESS, ctypes.addressof(slot))
    address = slot.value or 0
    if not address or c_int.from_address(address).value != os.getpid():
        raise OSError(0, "the C library's thread id is not where PR_GET_TID_ADDRESS says")
    return address


def clone(flags: int) -> int:
    """Fork into the namespaces that ``flags`` name; 0 in the child, its pid in the parent."""
    thread_id = _thread_id_address()
    number = _CLONE_NUMBER[machine()]
    word = flags | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | signal.SIGCHLD
    # clone(2): x86-64 takes (flags, stack, parent_tid, child_tid, tls), aarch64 swaps the last two.
    tail = (thread_id, 0) if number == _CLONE_NUMBER["x86_64"] else (0, thread_id)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _syscall(c_long(number), c_ulong(word), None, None, *[c_ulong(a) for a in tail])
    code = ctypes.get_errno()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid == -1:
        raise OSError(code, f"clone: {os.strerror(code)}")
    return pid
