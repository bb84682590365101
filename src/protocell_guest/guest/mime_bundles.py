"""Forms of a value by MIME type, as display hooks give them, made into text."""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from typing import Any

from protocell_guest.guest.representation import ENDINGS
from protocell_guest.guest.strict_json import encode_any, well_formed

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

MOST_CHARACTERS = 64 * 1024 * 1024
"""Longer forms are left out: what is shorter can still be written to a file and named."""

_MIME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}")
_TEXTUAL = re.compile(
    r"text/.*|image/svg\+xml|application/(?:javascript|xml|.*\+xml|json|.*[+.]json)"
)


def texts_of(bundle: Mapping[Any, Any]) -> dict[str, str]:
    """A MIME bundle as of ``_repr_mimebundle_`` or ``display(..., raw=True)``: every form as text.

    Bytes become base64 where the type is binary; data become strict JSON; what is none of it, or
    too long, or fails on the way, is left out.
    """
    forms = {}
    for mime, data in dict(bundle).items():
        text = text_of(mime, data)
        if text is not None:
            forms[str.__str__(mime)] = text
    return forms


def text_of(mime: object, data: Any) -> str | None:
    """One form as text, or None. ``(data, metadata)`` counts as its data."""
    if not isinstance(mime, str) or _MIME.fullmatch(mime) is None:
        return None
    if isinstance(data, tuple) and len(data) == 2:
        data = data[0]
    try:
        text = _text(mime, data)
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (data can be the code's own classes; the other forms may be fine)
        return None
    return text if text is not None and len(text) <= MOST_CHARACTERS else None


def base64_of(data: bytes) -> str:
    """Base64 in one line."""
    from binascii import b2a_base64  # noqa: PLC0415  (an extension module that few sandboxes need)

    return b2a_base64(data, newline=False).decode("ascii")


def _text(mime: str, data: Any) -> str | None:
    if isinstance(data, str):
        return well_formed(data)
    if isinstance(data, bytes | bytearray | memoryview):
        if len(data) > MOST_CHARACTERS:
            return None
        data = bytes(data)
        return data.decode("utf-8", "replace") if _TEXTUAL.fullmatch(mime) else base64_of(data)
    is_json = mime.endswith(("/json", "+json", ".json"))
    return encode_any(data) if is_json and data is not None else None
