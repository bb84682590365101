"""What os.fork cannot do: make a sibling in place of a child, and take in orphans.

Runs in confined contexts too; nothing here needs a right.
"""

from __future__ import annotations

import os

from protocell_guest.kernel import _libc

_CLONE_PARENT = 0x00008000
_PR_SET_CHILD_SUBREAPER = 36


def fork_sibling() -> int:
    """A copy of this process that is its parent's child, so that the code's own os.wait() does not see it.

    As ``_libc.clone``: for a process of one thread.  Returns 0 in the copy, its pid here.
    """
    pid, pidfd = _libc.clone(_CLONE_PARENT)
    if pid:
        os.close(pidfd)
    return pid


def take_in_orphans() -> None:
    """What is started below this process stays below it, whatever session it flees to (prctl(2))."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
