"""Copying, in one go, the pages that a forked process is known to write.

Theory of operation
-------------------
After a fork every page that is written for the first time costs a fault (2 to 4 µs in a virtual
machine, most of it for entering and leaving the kernel), and CPython writes some 250 of them just to
run a few lines, since a reference count is a write.  Which pages those are is always the same for
forks of the same process: a rehearsal tells (``written``), and from then on each fork copies them with
one call for each run of neighbours (``copy``: madvise(2), MADV_POPULATE_WRITE, Linux 5.14).

Only speed depends on it: a page too many is copied for nothing, a page too few is faulted in later.
Whether a page is this process's alone is bit 56 of its word in /proc/self/pagemap (Linux 4.2,
admin-guide/mm/pagemap), which everybody may read of himself.
"""

from __future__ import annotations

import contextlib
import os
import struct

from protocell_guest.kernel import _libc, syscalls

Ranges = list[tuple[int, int]]  # address and length in bytes, of whole pages

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MADV_POPULATE_WRITE = 23
_PRESENT = 1 << 63
_SHARED_OR_FILE = 1 << 61
_EXCLUSIVE = 1 << 56
_GAP_PAGES = 1  # copying one page for nothing is cheaper than a call of its own


def written() -> Ranges:
    """The private pages that this process has and shares with nobody, as it is now."""
    ranges: Ranges = []
    with open("/proc/self/maps", encoding="utf-8") as maps, open("/proc/self/pagemap", "rb") as map_:
        for line in maps:
            span, rights, *_ = line.split(None, 2)
            if rights == "rw-p" and "[stack]" not in line:
                start, end = (int(text, 16) for text in span.split("-"))
                _add(ranges, start, os.pread(map_.fileno(), (end - start) // _PAGE * 8, start // _PAGE * 8))
    return ranges


def _add(ranges: Ranges, start: int, words: bytes) -> None:
    for index, (word,) in enumerate(struct.iter_unpack("=Q", words)):
        if word & (_PRESENT | _EXCLUSIVE | _SHARED_OR_FILE) != _PRESENT | _EXCLUSIVE:
            continue
        address = start + index * _PAGE
        if ranges and address - sum(ranges[-1]) <= _GAP_PAGES * _PAGE:
            ranges[-1] = (ranges[-1][0], address + _PAGE - ranges[-1][0])
        else:
            ranges.append((address, _PAGE))


def copy(ranges: Ranges) -> None:
    """Make these pages this process's own."""
    number = syscalls.number("madvise")
    for address, length in ranges:
        # A mapping that is gone, or a kernel that cannot: the pages come when they are written.
        with contextlib.suppress(OSError):
            _libc.syscall(number, address, length, _MADV_POPULATE_WRITE)
