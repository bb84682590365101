"""Which system calls model code may not make, each with its errno and reason: the one table.

Theory of operation
-------------------
A deny list with argument checks.  An allow list ages: the next C library makes a call that the list
does not know, and programs die at random.  Here everything is allowed that no rule refuses, and a
number that stands in no table at all answers ENOSYS, as on an older kernel, so that libraries fall
back and a call invented after this file was written is closed until somebody has looked at it.

A rule holds when all its checks hold; the rules of one call are tried in order.  Checks look at the
low 32 bits of an argument, because the kernel does where it takes an int: a filter that compared 64
let ``TIOCSTI | 1 << 32`` pass (CVE-2019-7303, CVE-2019-10063).  Nothing behind a pointer can be
checked, so calls that hide what matters there (clone3, sched_setattr) are refused as a whole.

Errnos: EPERM for what is not permitted; ENOSYS where callers have another way; EAFNOSUPPORT and
EPROTONOSUPPORT for sockets; 0 is a call that succeeds and does nothing.

pid 1 of the sandbox runs under the same user id as the code, so every call that may be aimed at
another process of the same user is limited to the caller itself.  pid 1 is safe from signals
(pid_namespaces(7)), as long as it has a handler for none that it would mind.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

_WORD: Final = 0xFFFF_FFFF
_RETURN_ERRNO: Final = 0x0005_0000  # SECCOMP_RET_ERRNO, linux/seccomp.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """``(argument & mask)`` is one of ``values``; with ``negated``, is none of them."""

    argument: int
    values: tuple[int, ...]
    mask: int = _WORD
    negated: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.argument <= 5:
            raise ValueError(f"a system call has arguments 0 to 5, not {self.argument}")
        if not self.values or not 0 < self.mask <= _WORD:
            raise ValueError("a check needs a value and a mask of up to 32 bits")
        if any(value & ~self.mask for value in self.values):
            raise ValueError("a value with bits outside the mask is never met")

    def holds(self, args: tuple[int, ...]) -> bool:
        """What the filter computes for this check."""
        return ((args[self.argument] & self.mask) in self.values) is not self.negated

    def __str__(self) -> str:
        place = f"arg{self.argument}"
        if self.negated and self.values == (0,) and self.mask != _WORD:
            return f"{place} has any of 0x{self.mask:x}"
        if self.mask != _WORD:
            place = f"({place} & 0x{self.mask:x})"
        values = ", ".join(str(v) if v < 32 else f"0x{v:x}" for v in self.values)
        if len(self.values) == 1:
            return f"{place} {'!=' if self.negated else '=='} {values}"
        return f"{place} {'not in' if self.negated else 'in'} {{{values}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One refused system call."""

    name: str
    errno: int
    reason: str
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.errno < 4096:  # linux/seccomp.h: larger ones are cut to MAX_ERRNO
            raise ValueError(f"errno {self.errno} is not one")
        if not self.reason:
            raise ValueError(f"the rule for {self.name} gives no reason")

    @property
    def action(self) -> int:
        """What the filter returns to the kernel."""
        return _RETURN_ERRNO | self.errno

    def matches(self, args: tuple[int, ...]) -> bool:
        """Whether the rule refuses a call with these six arguments."""
        return all(check.holds(args) for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Calls that one might expect to be refused, and why they are not."""

    names: tuple[str, ...]
    reason: str


def _is(argument: int, *values: int, mask: int = _WORD) -> Check:
    return Check(argument=argument, values=values, mask=mask)


def _is_not(argument: int, *values: int, mask: int = _WORD) -> Check:
    return Check(argument=argument, values=values, mask=mask, negated=True)


def _has_any(argument: int, bits: int) -> Check:
    return Check(argument=argument, values=(0,), mask=bits, negated=True)


def _refuse(names: str, code: int, reason: str, *checks: Check) -> tuple[Rule, ...]:
    return tuple(
        Rule(name=name, errno=code, reason=reason, checks=checks) for name in names.split()
    )


_EPERM: Final = errno.EPERM
_ENOSYS: Final = errno.ENOSYS

# linux/sched.h: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME.
CLONE_NEW: Final = 0x7E02_0080

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
_FAMILIES: Final = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
_SOCK_TYPE: Final = 0xF  # SOCK_TYPE_MASK of linux/net.h: without SOCK_NONBLOCK and SOCK_CLOEXEC
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET = 1, 2, 5
_IPPROTO_TCP, _IPPROTO_UDP = 6, 17
_SELF: Final = 0  # as a pid, tid or "who": the caller

_NORMAL_POLICIES: Final = (0, 3, 5)  # SCHED_OTHER, SCHED_BATCH, SCHED_IDLE
_SCHED_RESET_ON_FORK: Final = 0x4000_0000

_AIMED_AT_OTHERS: Final = "pid 1 has the same user id: only the caller itself may be the target"

_NAMESPACES: Final = (
    *_refuse(
        "unshare setns",
        _EPERM,
        "a fresh user namespace hands out capabilities over net, mounts and nf_tables, where most"
        " local root exploits start; in one's own mount namespace read-only binds can be detached",
    ),
    *_refuse(
        "clone",
        _EPERM,
        "as unshare; without the CLONE_NEW flags it is how threads and processes are made",
        _has_any(0, CLONE_NEW),
    ),
    *_refuse("clone3", _ENOSYS, "its flags are behind a pointer; C libraries fall back to clone"),
    *_refuse(
        "mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree open_tree_attr"
        " move_mount mount_setattr",
        _EPERM,
        "the file tree is final",
    ),
    *_refuse("statmount listmount listns", _EPERM, "tells paths and namespaces of the host"),
    *_refuse(
        "open_by_handle_at name_to_handle_at",
        _EPERM,
        "opens files by inode number, outside the tree that is given ('shocker')",
    ),
)

_KERNEL_SURFACE: Final = (
    *_refuse(
        "io_uring_setup io_uring_enter io_uring_register",
        _ENOSYS,
        "opens files and makes sockets that no filter sees; a long series of CVEs",
    ),
    *_refuse("userfaultfd", _EPERM, "stretches races in the kernel at will"),
    *_refuse("bpf perf_event_open", _EPERM, "verifier and event bugs; perf is a side channel too"),
    *_refuse(
        "vmsplice", _EPERM, "gifts pages to a pipe, as relatives of Dirty Pipe (CVE-2022-0847) need"
    ),
    *_refuse("memfd_secret", _EPERM, "memory that the host cannot look at, and that stays locked"),
    *_refuse(
        "mbind set_mempolicy set_mempolicy_home_node migrate_pages move_pages",
        _EPERM,
        "kernel surface that numpy does not need; two of them take the pid of another process",
    ),
    *_refuse(
        "remap_file_pages lookup_dcookie ustat sysfs _sysctl uselib nfsservctl",
        _EPERM,
        "obsolete, and some of them open to everybody",
    ),
    *_refuse("modify_ldt iopl ioperm", _EPERM, "old corners of x86; vm86 is 32-bit only"),
    *_refuse(
        "lsm_get_self_attr lsm_set_self_attr lsm_list_modules", _EPERM, "kernel surface nobody uses"
    ),
    *_refuse(
        "personality",
        _EPERM,
        "ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC undo hardening; 0 and 0xffffffff only ask",
        _is_not(0, 0, 0xFFFF_FFFF),
    ),
    *_refuse(
        "seccomp",
        _EPERM,
        "user notification descriptors, and filters on filters slow every call down",
    ),
)

_OTHER_PROCESSES: Final = (
    *_refuse(
        "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp"
        " pidfd_getfd",
        _EPERM,
        "reaches into other processes of the same user id: memory, descriptors, registers",
    ),
    *_refuse(
        "prlimit64",
        _EPERM,
        f"{_AIMED_AT_OTHERS}; RLIMIT_CPU ends in a SIGKILL that even pid 1 obeys",
        _is_not(0, _SELF),
    ),
    *_refuse("sched_setparam sched_setaffinity", _EPERM, _AIMED_AT_OTHERS, _is_not(0, _SELF)),
    *_refuse("sched_setscheduler", _EPERM, _AIMED_AT_OTHERS, _is_not(0, _SELF)),
    *_refuse(
        "sched_setscheduler",
        _EPERM,
        "real-time and deadline scheduling starve the machine",
        _is_not(1, *_NORMAL_POLICIES, mask=_WORD & ~_SCHED_RESET_ON_FORK),
    ),
    *_refuse("sched_setattr", _EPERM, "as sched_setscheduler, with the policy behind a pointer"),
    *_refuse(
        "setpriority",
        _EPERM,
        f"{_AIMED_AT_OTHERS}; PRIO_USER with 0 means all processes of the caller's user",
        _is_not(0, 0),  # PRIO_PROCESS
    ),
    *_refuse("setpriority", _EPERM, _AIMED_AT_OTHERS, _is_not(1, _SELF)),
    *_refuse(
        "ioprio_set",
        _EPERM,
        f"{_AIMED_AT_OTHERS}; the other kinds mean a group, or all processes of a user",
        _is_not(0, 1),  # IOPRIO_WHO_PROCESS
    ),
    *_refuse("ioprio_set", _EPERM, _AIMED_AT_OTHERS, _is_not(1, _SELF)),
)

_PRCTL_OPTIONS: Final = (
    (22, "PR_SET_SECCOMP: as seccomp"),
    (0x5961_6D61, "PR_SET_PTRACER: lets a process be traced where Yama would not"),
    (28, "PR_SET_SECUREBITS: undoes how capabilities were dropped"),
    (35, "PR_SET_MM: rewrites what /proc shows of a process"),
    (47, "PR_CAP_AMBIENT: capabilities are gone and stay so"),
    (26, "PR_SET_TSC: kernel surface"),
    (62, "PR_SCHED_CORE: a cookie makes the sibling hyperthread idle for everybody else"),
    (67, "PR_SET_MEMORY_MERGE: as madvise(MADV_MERGEABLE)"),
)

_PRCTL: Final = (
    *_refuse(
        "prctl",
        _EPERM,
        "PR_SET_DUMPABLE: a process that was made unreadable to its neighbours stays so",
        _is(0, 4),
        _is_not(1, 0),
    ),
    *(
        rule
        for option, reason in _PRCTL_OPTIONS
        for rule in _refuse("prctl", _EPERM, reason, _is(0, option))
    ),
)

_SOCKETS: Final = (
    *_refuse(
        "socket socketpair",
        errno.EAFNOSUPPORT,
        "ALG writes to the page cache through read-only files (CVE-2026-31431); VSOCK reaches the"
        " hypervisor and has no namespace; RXRPC, PACKET, KEY, XDP, CAN, TIPC, RDS and others are"
        " old code that the kernel loads on demand",
        _is_not(0, *_FAMILIES),
    ),
    *_refuse(
        "socket socketpair",
        _EPERM,
        "RAW reads and forges packets, PACKET (10) turns AF_INET into AF_PACKET, DCCP and RDM are"
        " old code; netlink is left out because C libraries ask for RAW there",
        _is(0, AF_UNIX, AF_INET, AF_INET6),
        _is_not(1, _SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET, mask=_SOCK_TYPE),
    ),
    *_refuse(
        "socket socketpair",
        errno.EPROTONOSUPPORT,
        "SCTP, L2TP, MPTCP, SMC, UDP-Lite and others are loaded on demand like the families",
        _is(0, AF_INET, AF_INET6),
        _is(1, _SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET, mask=_SOCK_TYPE),
        _is_not(2, 0, _IPPROTO_TCP, _IPPROTO_UDP),
    ),
    *_refuse(
        "socket socketpair",
        _EPERM,
        "netfilter, xfrm, audit, uevent, connector; ROUTE (0) is how interfaces are listed",
        _is(0, AF_NETLINK),
        _is_not(2, 0),
    ),
)

_TERMINALS: Final = (
    *_refuse(
        "ioctl",
        _EPERM,
        "TIOCSTI and TIOCLINUX type into the user's terminal (CVE-2017-5226, CVE-2023-28100)",
        _is(1, 0x5412, 0x541C),
    ),
    *_refuse(
        "ioctl",
        _EPERM,
        "TIOCSETD loads line disciplines on demand (CVE-2023-6546, n_gsm)",
        _is(1, 0x5423),
    ),
)

# What one caller uses up for all users of the machine, or sees of them, in spite of namespaces.
_SHARED_WITH_OTHERS: Final = (
    *_refuse(
        "add_key request_key keyctl",
        _ENOSYS,
        "keyrings belong to a user id, not to a namespace: storage across runs, keys of the host",
    ),
    *_refuse(
        "io_setup",
        _ENOSYS,
        "fs.aio-max-nr is one number for the machine: one sandbox can use up all of it, and"
        " databases on the host then fail with EAGAIN",
    ),
    *_refuse(
        "inotify_init inotify_init1",
        _ENOSYS,
        "instances count against the user outside, siblings included, and events on shared"
        " read-only files tell who else opens them; tail and watchers fall back to polling",
    ),
    *_refuse("fanotify_init fanotify_mark", _EPERM, "as inotify, for whole file systems"),
    *_refuse(
        "fcntl",
        _EPERM,
        "F_SETLEASE on a read-only file of one's own user makes a writer on the host wait for up"
        " to fs.lease-break-time, 45 s; F_NOTIFY is inotify's forerunner",
        _is(1, 1024, 1026),
    ),
    *_refuse(
        "mmap",
        errno.ENOMEM,
        "MAP_HUGETLB takes the host's reserved huge pages, which no memory limit counts; ENOMEM is"
        " what an empty reserve answers",
        _has_any(3, 0x4_0000),
    ),
    *_refuse("memfd_create", errno.ENOMEM, "MFD_HUGETLB: as MAP_HUGETLB", _has_any(1, 0x4)),
    *_refuse("shmget", errno.ENOMEM, "SHM_HUGETLB: as MAP_HUGETLB", _has_any(2, 0o4000)),
    *_refuse(
        "madvise",
        errno.EINVAL,
        "MADV_MERGEABLE shares equal pages with other processes, virtual machines included, and"
        " the time of a write tells which; EINVAL is what a kernel without it answers",
        _is(2, 12),
    ),
    *_refuse(
        "cachestat", _EPERM, "tells which pages of shared files others have read; nobody needs it"
    ),
    *_refuse(
        "sync syncfs",
        0,
        "writes back the host's file systems and stalls its disks; the sandbox writes to memory"
        " only, so there is nothing to do and success is the truth",
    ),
)

_ADMINISTRATION: Final = _refuse(
    "acct adjtimex clock_adjtime clock_settime settimeofday sethostname setdomainname syslog"
    " vhangup reboot kexec_load kexec_file_load swapon swapoff quotactl quotactl_fd init_module"
    " finit_module delete_module create_module query_module get_kernel_syms",
    _EPERM,
    "administration; the capabilities for it are gone already, this is the second lock",
)

POLICY: Final[tuple[Rule, ...]] = (
    *_NAMESPACES,
    *_KERNEL_SURFACE,
    *_OTHER_PROCESSES,
    *_PRCTL,
    *_SOCKETS,
    *_TERMINALS,
    *_SHARED_WITH_OTHERS,
    *_ADMINISTRATION,
)

_UNCOUNTED: Final = "without a memory cgroup nothing counts these pages once they are not mapped"

# On top of the policy where no memory cgroup could be had: what the memory watch cannot see.
WITHOUT_CGROUP: Final[tuple[Rule, ...]] = (
    *_refuse("memfd_create", _ENOSYS, _UNCOUNTED),
    # MAP_ANONYMOUS (0x20) with MAP_SHARED (1) or MAP_SHARED_VALIDATE (3); files of /dev/shm count.
    *_refuse("mmap", _EPERM, _UNCOUNTED, _is(3, 0x21, 0x23, mask=0x2F)),
    *_refuse(
        "setsockopt",
        0,  # as on a machine whose maximum is its default
        "socket buffers are counted by a memory cgroup only; SO_SNDBUF, SO_RCVBUF, and by FORCE",
        _is(1, 1),
        _is(2, 7, 8, 32, 33),
    ),
)


def _open(names: str, reason: str) -> Open:
    return Open(names=tuple(names.split()), reason=reason)


# Allowed knowingly (with the arguments that no rule above refuses).
LEFT_OPEN: Final = (
    _open("clone fork vfork execve execveat", "threads, multiprocessing, subprocess"),
    _open(
        "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal",
        "subprocess and asyncio; only the sandbox's own processes can be named, and the kernel"
        " drops a signal to pid 1 from inside for which it has no handler",
    ),
    _open("memfd_create mmap mprotect", "multiprocessing, pyarrow, ctypes callbacks, numba"),
    _open("prctl", "PR_SET_NAME, PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER; PR_SET_DUMPABLE 0"),
    _open(
        "flock fcntl",
        "sqlite locks files; a lock on a shared read-only file can be seen, and waited for, from"
        " another sandbox and the host: a covert channel, and a reason not to mount files that the"
        " host itself locks",
    ),
    _open(
        "mincore",
        "since Linux 5.2 it tells nothing of files that the caller can neither write nor owns, and"
        " the time of a read tells the same; libunwind asks it whether an address is mapped",
    ),
    _open("fadvise64 readahead", "move shared pages in and out of the page cache: time, no data"),
    _open("shmget shmat shmctl shmdt semget semop semctl semtimedop", "own IPC namespace"),
    _open("msgget msgsnd msgrcv msgctl mq_open mq_unlink", "own IPC namespace"),
    _open("splice tee sendfile copy_file_range", "shutil and asyncio use them"),
    _open(
        "epoll_create1 epoll_ctl pipe2 sendmsg",
        "watches, pipe pages and descriptors in flight are counted for the user outside, without a"
        " namespace, but nothing runs without them; RLIMIT_NOFILE keeps the use of them small",
    ),
    _open("get_mempolicy sched_getaffinity getpriority", "only ask"),
    _open("get_robust_list", "the kernel asks for ptrace rights, which pid 1 grants to nobody"),
    _open("setrlimit prlimit64", "a process may lower its own limits"),
    _open("landlock_create_ruleset landlock_add_rule landlock_restrict_self", "only tightens"),
    _open(
        "rseq getrandom membarrier statx faccessat2 openat2 close_range epoll_pwait2 futex_waitv",
        "C libraries of today and tomorrow",
    ),
    _open("restart_syscall", "the kernel itself makes it, after a stopped sleep"),
    _open("uretprobe uprobe", "the host's own probes come in through them; else they do nothing"),
)
