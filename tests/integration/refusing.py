"""Starts a command under a filter that refuses system calls, as a container's profile does: ERRNO CALLS -- COMMAND.

With ``clone`` among the calls it is refused for namespaces alone, and clone3, whose flags no filter sees, with ENOSYS.
"""

import errno
import os
import sys

from protocell_guest.kernel import _libc, bpf, seccomp, syscalls

_ERRNO = 0x0005_0000
_PR_SET_NO_NEW_PRIVS = 38
_NEW_NAMESPACES = 0x7E02_0000


def build(code: int, names: list[str]) -> bytes:
    """The filter."""
    assembler = bpf.Assembler()
    assembler.load(bpf.NUMBER)
    for name in names:
        if name != "clone":
            assembler.branch(bpf.JEQ, syscalls.number(name), yes="refused")
    if "clone" in names:
        assembler.branch(bpf.JEQ, syscalls.number("clone3"), yes="unknown")
        assembler.branch(bpf.JEQ, syscalls.number("clone"), no="allowed")
        assembler.load(bpf.LOW[0])
        assembler.branch(bpf.JSET, _NEW_NAMESPACES, yes="refused")
    assembler.label("allowed")
    assembler.give(seccomp.ALLOW)
    assembler.label("refused")
    assembler.give(_ERRNO | code)
    if "clone" in names:
        assembler.label("unknown")
        assembler.give(_ERRNO | errno.ENOSYS)
    return bpf.encode(assembler.assemble())


def main() -> None:
    """Refuse, then become the command."""
    code, names, command = sys.argv[1], sys.argv[2].split(","), sys.argv[4:]
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(build(getattr(errno, code), names))
    os.execv(command[0], command)


main()
