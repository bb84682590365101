"""Reads what the host sends in a file in memory, because a message has no room for it; the host is believed."""

from __future__ import annotations

import builtins
import os
from json import JSONDecoder
from typing import Any

# Functions of this module keep these builtins when the code assigns to builtins.bytearray or the like.
globals()["__builtins__"] = dict(vars(builtins))

_CHUNK = 1 << 20
_decoder = JSONDecoder()
_pread, _close = os.pread, os.close


def read(descriptor: int) -> dict[str, Any]:
    """The JSON object in the file, which is closed."""
    body = bytearray()
    try:
        while chunk := _pread(descriptor, _CHUNK, len(body)):
            body += chunk
    finally:
        _close(descriptor)
    letter: dict[str, Any] = _decoder.decode(body.decode("ascii"))
    return letter
