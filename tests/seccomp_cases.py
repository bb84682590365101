"""Arguments worth trying on the system call filter, and a reading of its table without any BPF."""

import errno
from itertools import product

from protocell_guest.kernel import seccomp, syscalls
from protocell_guest.kernel.syscall_rules import POLICY, Check, Rule

MACHINES = ("x86_64", "aarch64")
Args = tuple[int, ...]

_WORD = 0xFFFF_FFFF
# Half-words that an int argument does not have: the kernel cuts them off, and so must the filter.
GARBAGE = 0xDEAD_BEEF << 32

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
STREAM, DGRAM, RAW = 1, 2, 3
NONBLOCK, CLOEXEC = 0o4000, 0o2000000
THREAD_FLAGS = 0x3D0F00  # what the C library gives to clone for a thread
SIGCHLD = 17

# For each call that is refused by its arguments: arguments that ordinary programs give it.
PERMITTED: dict[str, tuple[Args, ...]] = {
    "clone": ((SIGCHLD,), (THREAD_FLAGS,), (0x1200000 | SIGCHLD,)),
    "fcntl": ((3, 2, 1), (3, 6, 0x1000), (3, 1030, 3), (3, 1025), (3, 1031, 4096)),
    "ioctl": ((0, 0x5401, 0x1000), (0, 0x5413, 0x1000), (0, 0x8912, 0x1000), (0, 0x541B, 0x1000)),
    "ioprio_set": ((1, 0, 3 << 13),),
    "madvise": ((0x1000, 0x1000, 4), (0x1000, 0x1000, 14), (0x1000, 0x1000, 13)),
    "memfd_create": ((0x1000, 0), (0x1000, 1), (0x1000, 3)),
    "mmap": ((0, 4096, 3, 0x22, _WORD, 0), (0, 4096, 5, 2, 3, 0), (0, 4096, 3, 0x20022, 5, 0)),
    "personality": ((0,), (_WORD,)),
    "prctl": ((15, 0x1000), (1, 9), (3,), (4, 0), (21,), (36, 1), (38, 1), (0x53564D41, 0)),
    "prlimit64": ((0, 7, 0, 0x1000), (0, 7, 0x1000, 0)),
    "sched_setaffinity": ((0, 128, 0x1000),),
    "sched_setparam": ((0, 0x1000),),
    "sched_setscheduler": ((0, 0, 0x1000), (0, 3, 0x1000), (0, 5, 0), (0, 0x40000000, 0x1000)),
    "setpriority": ((0, 0, 5),),
    "shmget": ((0, 4096, 0o1600),),
    "socket": (
        (AF_UNIX, STREAM | CLOEXEC, 0),
        (AF_UNIX, 5, 0),
        (AF_INET, STREAM | NONBLOCK, 6),
        (AF_INET6, DGRAM | CLOEXEC | NONBLOCK, 17),
        (AF_NETLINK, RAW | CLOEXEC, 0),
        (AF_NETLINK, DGRAM, 0),
    ),
    "socketpair": ((AF_UNIX, STREAM | CLOEXEC, 0, 0x1000), (AF_UNIX, DGRAM, 0, 0x1000)),
}


def padded(args: Args) -> Args:
    """Six arguments."""
    return args + (0,) * (6 - len(args))


def _met(check: Check) -> int:
    if not check.negated:
        return check.values[-1]
    bits = [1 << bit for bit in range(32)]
    return next(v for v in (0, *bits) if v & check.mask == v and v not in check.values)


def refused_args(rule: Rule) -> Args:
    """Six arguments that this rule is about."""
    args = [0] * 6
    for check in rule.checks:
        args[check.argument] = _met(check)
    return tuple(args)


def expected(machine: str, number: int, args: Args) -> int:
    """The action for a call of the machine's own ABI, read from the table rule by rule."""
    names = {n: name for name, n in syscalls.numbers(machine).items()}
    name = names.get(number)
    if name is None:
        return seccomp.RETURN_ENOSYS
    for rule in POLICY:
        if rule.name == name and rule.matches(args):
            return 0x0005_0000 | rule.errno
    return seccomp.ALLOW


def interesting_args(name: str) -> list[Args]:
    """Each combination of values at which a check of this call could change its mind."""
    values: dict[int, set[int]] = {}
    for rule in POLICY:
        for check in rule.checks if rule.name == name else ():
            values.setdefault(check.argument, set()).update(_around(check))
    columns = [sorted(values.get(argument, {0})) for argument in range(6)]
    return list(product(*columns))


def _around(check: Check) -> set[int]:
    if check.mask != _WORD:
        lowest, highest = check.mask & -check.mask, 1 << (check.mask.bit_length() - 1)
        outside = ~check.mask & _WORD
        return {0, lowest, highest, check.mask, outside, *check.values, highest | GARBAGE, _WORD}
    near = {value + step for value in check.values for step in (-1, 0, 1)}
    return {v & _WORD for v in near} | {check.values[0] | GARBAGE, GARBAGE, _WORD}


def name_of(code: int) -> str:
    """How an action reads in a test's name."""
    return errno.errorcode.get(code, "success")
