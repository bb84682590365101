"""A value, or an error, as text that is always there, whatever its own methods do."""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.plain_tracebacks import class_name, message

if TYPE_CHECKING:
    from types import ModuleType

# Functions of this module keep these builtins when the code assigns to builtins.repr or the like.
globals()["__builtins__"] = dict(vars(builtins))

ENDINGS = (KeyboardInterrupt, SystemExit)
"""What a value's own methods may raise through us: the first is the host's interrupt, the second the code's wish."""

_MESSAGE_SHOWN = 2_000


def represented(value: object) -> str:
    """``repr(value)`` as an exact str, or what kept it from being made.

    Raises:
        KeyboardInterrupt, SystemExit: if ``__repr__`` does.
    """
    try:
        return str.__str__(repr(value))
    except ENDINGS:
        raise
    except BaseException as error:  # noqa: BLE001  (the code's own __repr__ can raise anything)
        return f"<{class_name(type(value))} object whose repr raised {described(error)}>"


def described(error: BaseException) -> str:
    """Class and message of an error, in one line of bounded length."""
    return f"{class_name(type(error))}: {clip(message(error), _MESSAGE_SHOWN)}"


def is_instance(value: object, module_name: str, *class_names: str) -> bool:
    """Whether the value's type is, or derives from, one of these classes of a module, if that is loaded.

    Imports nothing, and asks neither the value nor its class: ``__class__`` can be a property.
    """
    module: ModuleType | None = sys.modules.get(module_name)
    known = getattr(module, "__dict__", None)
    if type(known) is not dict:
        return False
    ancestors = type.__dict__["__mro__"].__get__(type(value))
    return any(known.get(name) in ancestors for name in class_names if name in known)
