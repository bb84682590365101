"""Random state that a fork inherits: every generator that a template has used is seeded anew in a context.

The kernel's generator (``os.urandom``, ``secrets``, ``uuid.uuid4``) has no state here, and ``random`` seeds
itself after a fork.  The others do not, or tell a fork by the process id, which is no help here: the
first context of every sandbox has pid 2, and so has a zygote that is the first child in a container.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_SEED_BYTES = 32


def refresh() -> None:
    """Seed what is loaded; imports nothing."""
    modules: Any = sys.modules
    if "_ssl" in modules:
        modules["_ssl"].RAND_add(os.urandom(_SEED_BYTES), float(_SEED_BYTES))
    if "numpy.random" in modules:
        modules["numpy.random"].seed()  # the global state; other generators are their owners'
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = None
    if "uuid" in modules:  # the hardware address of the host, here and in libuuid
        uuid = modules["uuid"]
        uuid._node = uuid._last_timestamp = uuid._generate_time_safe = None
    if "torch" in modules:
        modules["torch"].seed()
