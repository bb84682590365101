"""The system call filter: rules to BPF, and BPF into the kernel.

Theory of operation
-------------------
``build`` is pure.  The filter first looks at the architecture, because numbers mean nothing without
it: a call by another ABI (``int 0x80`` from 64-bit code) ends the process.  On x86-64 numbers with
the x32 bit answer ENOSYS.  Then it finds the number by binary search over intervals: from one
number to the next with another verdict.  A verdict is an action, or the argument checks of a call.

Why a search tree: a kernel since 5.11 runs the filter for every number when it is loaded, to learn
which calls are always allowed (and then skips the filter for them).  A linear list makes that
loading the larger part of the cost of a sandbox; docs/adr/0004 has the figures.

``prepare`` runs in the zygote: building takes milliseconds, and in a fresh fork every page that
Python touches to make the kernel's structures costs a copy, more in sum than the call itself.

``install`` is the last step of confinement, in a context that is about to run model code.  It asks
for TSYNC although a context has one thread: if something preloaded had started another, that thread
would be a hole in every other layer, and for one thread the flag costs nothing.
"""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from protocell_guest.kernel import _libc, bpf, syscalls
from protocell_guest.kernel.syscall_rules import LEFT_OPEN, POLICY, WITHOUT_CGROUP, Check, Rule

__all__ = ["LEFT_OPEN", "POLICY", "Row", "build", "explain", "install", "prepare"]

# linux/seccomp.h and linux/prctl.h.
ALLOW: Final = 0x7FFF_0000
KILL_PROCESS: Final = 0x8000_0000
RETURN_ENOSYS: Final = 0x0005_0000 | errno.ENOSYS
_SET_MODE_FILTER: Final = 1
_FLAG_TSYNC: Final = 1
_PR_GET_NO_NEW_PRIVS: Final = 39
_WORD: Final = 0xFFFF_FFFF

# What happens to a number: always the same action, or it depends on the arguments.
_Verdict: TypeAlias = "int | tuple[Rule, ...]"


class _Interval(NamedTuple):
    start: int  # up to the next interval's start
    verdict: _Verdict


class Row(NamedTuple):
    """One line of the documentation's table."""

    call: str
    when: str
    result: str
    reason: str


@functools.cache
def build(machine: str, *, counted: bool = True) -> bytes:
    """The filter for a machine, as the kernel takes it; ``counted`` where a cgroup counts memory."""
    rules = POLICY if counted else POLICY + WITHOUT_CGROUP
    return bpf.encode(_assemble(machine, _intervals(machine, rules)))


def prepare(*, counted: bool = True) -> None:
    """Do what ``install`` would do for each sandbox anew: the zygote calls this before it forks."""
    _prepared(build(_libc.machine(), counted=counted))
    syscalls.number("seccomp")


def install(program: bytes | None = None, *, counted: bool = True) -> None:
    """Put this process, with all its threads, under the filter for ever.

    Raises:
        OSError: the kernel refused; without no_new_privs nothing is tried (EACCES), since a filter
            that a setuid program can shed is none.
    """
    code = build(_libc.machine(), counted=counted) if program is None else program
    if _libc.prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError(errno.EACCES, "set no_new_privs before the system call filter")
    fprog, _ = _prepared(code)
    number = syscalls.number("seccomp")
    unfiltered = _libc.syscall(number, _SET_MODE_FILTER, _FLAG_TSYNC, fprog)
    if unfiltered:  # seccomp(2): with TSYNC, the id of a thread that cannot follow
        raise OSError(errno.ESRCH, f"thread {unfiltered} cannot be put under the filter")


@functools.cache
def _prepared(code: bytes) -> tuple[bytes, _libc.Buffer]:
    """``struct sock_fprog`` with what it points to; a fork has both at the same addresses."""
    instructions = _libc.buffer(code)
    # unsigned short len; struct sock_filter *filter
    return struct.pack("@HP", len(code) // 8, _libc.address_of(instructions)), instructions


def explain() -> list[Row]:
    """The whole policy as rows, for the documentation and for ``doctor``."""
    general = [
        Row("any", "by a foreign architecture", "process killed", "numbers mean other calls there"),
        Row("any", "by the x32 ABI", "ENOSYS", "a second entrance to the same kernel, unused"),
        Row("any", "number not in the table", "ENOSYS", "libraries fall back; see the rules' file"),
    ]
    refused = [
        Row(rule.name, " and ".join(map(str, rule.checks)), _result(rule), rule.reason)
        for rule in POLICY
    ]
    allowed = [Row(name, "", "allowed", kept.reason) for kept in LEFT_OPEN for name in kept.names]
    return general + refused + allowed


def _result(rule: Rule) -> str:
    return errno.errorcode[rule.errno] if rule.errno else "succeeds, does nothing"


def _rules_by_number(machine: str, rules: Sequence[Rule]) -> Mapping[int, tuple[Rule, ...]]:
    numbers = syscalls.numbers(machine)
    found: dict[int, tuple[Rule, ...]] = {}
    for rule in rules:
        number = numbers.get(rule.name)
        if number is not None:  # else this machine does not have the call
            found[number] = (*found.get(number, ()), rule)
    return found


def _intervals(machine: str, policy: Sequence[Rule]) -> list[_Interval]:
    """Every number's verdict, from 0 on, neighbours with the same one joined."""
    known = frozenset(syscalls.numbers(machine).values())
    rules = _rules_by_number(machine, policy)

    def verdict(number: int) -> _Verdict:
        if number not in known:
            return RETURN_ENOSYS
        own = rules.get(number, ())
        if own and not own[0].checks:
            return own[0].action
        return own or ALLOW

    # The number after the last known one stands for all above it.
    runs = groupby(range(max(known) + 2), key=verdict)
    return [_Interval(next(numbers), found) for found, numbers in runs]


def _assemble(machine: str, intervals: Sequence[_Interval]) -> bpf.Program:
    assembler = bpf.Assembler()
    assembler.load(bpf.ARCH)
    assembler.branch(bpf.JEQ, syscalls.AUDIT_ARCH[machine], yes="ours")
    assembler.give(KILL_PROCESS)
    assembler.label("ours")
    assembler.load(bpf.NUMBER)
    if machine == "x86_64":
        assembler.branch(bpf.JGE, syscalls.X32_BIT, no="native")
        assembler.give(RETURN_ENOSYS)
        assembler.label("native")
    _search(assembler, intervals)
    return assembler.assemble()


def _search(assembler: bpf.Assembler, intervals: Sequence[_Interval]) -> None:
    if len(intervals) == 1:
        _decide(assembler, intervals[0])
        return
    middle = len(intervals) // 2
    upper = f"from {intervals[middle].start}"
    assembler.branch(bpf.JGE, intervals[middle].start, yes=upper)
    _search(assembler, intervals[:middle])
    assembler.label(upper)
    _search(assembler, intervals[middle:])


def _decide(assembler: bpf.Assembler, interval: _Interval) -> None:
    if isinstance(interval.verdict, int):
        assembler.give(interval.verdict)
        return
    for place, rule in enumerate(interval.verdict):
        spared = f"{interval.start}: after rule {place}"
        for index, check in enumerate(rule.checks):
            _test(assembler, check, spared, held=f"{interval.start}: {place}.{index} holds")
        assembler.give(rule.action)
        assembler.label(spared)
    assembler.give(ALLOW)


def _test(assembler: bpf.Assembler, check: Check, spared: str, held: str) -> None:
    """Go on if the check holds, else to ``spared``."""
    assembler.load(bpf.LOW[check.argument])
    if check.mask != _WORD:
        assembler.mask(check.mask)
    *others, last = check.values
    if check.negated:
        for value in check.values:
            assembler.branch(bpf.JEQ, value, yes=spared)
        return
    for value in others:
        assembler.branch(bpf.JEQ, value, yes=held)
    assembler.branch(bpf.JEQ, last, no=spared)
    assembler.label(held)
