"""Keeping a function of the code's as a skill: asked for by the code itself, or by whoever owns the sandbox.

The code asks through a tool, ``skills/save``, so that the host's log has it and somebody can be asked. Its owner asks
the interpreter as for its variables. In both cases the host gets text alone, and writes it.
"""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING, Any

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.skill_source import NotSavableError, draft
from protocell_guest.guest.tool_errors import error_of
from protocell_guest.skill_terms import SAVE, SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    Perform = Callable[[str, dict[str, Any], FrameType], Any]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

TOOL = f"{SPACE}/{SAVE}"
_NOBODY = "nobody is there to agree that code keeps functions of its own in this sandbox"
_MISSING = object()


def saver(
    perform: Perform, offered: Callable[[], Mapping[str, Any]], *, is_there: bool
) -> Callable[..., Any]:
    """The function that code finds as ``save_skill``."""

    def save_skill(function: Any, name: str | None = None, *, replace: bool = False) -> Any:
        """Keep a function that you have defined for later programs, which find it as skills.name(...).

        Its imports, helper functions and constants come along. replace=True puts it in place of one of that name.
        """
        if not is_there:
            raise error_of({"kind": "denied", "message": _NOBODY, "tool": TOOL})
        try:
            made = draft(_named(function), name or _text(function), offered())
        except NotSavableError as reason:
            message = f"this function cannot be saved: {reason}"
            raise error_of({"kind": "validation", "message": message, "tool": TOOL}) from None
        arguments = {"function": made.name, "replace": replace}
        told = arguments | {"source": made.source, "about": made.about}
        return perform(TOOL, told, sys._getframe(1))

    save_skill.__module__, save_skill.__qualname__ = "__main__", "save_skill"
    return save_skill


def _text(function: Any) -> str | None:
    return function if isinstance(function, str) else None


def _named(function: Any) -> Any:
    """The function itself, where its name is given."""
    if not isinstance(function, str):
        return function
    found = vars(sys.modules["__main__"]).get(function, _MISSING)
    if found is _MISSING:
        raise NotSavableError(f"there is nothing called {clip(function, 100)}")
    return found


def answer(name: str, offered: Mapping[str, Any]) -> dict[str, str]:
    """The file of the function of that name, or in ``detail`` why there is none; raises nothing."""
    try:
        made = draft(_named(name), name, offered)
    except NotSavableError as reason:
        return {"detail": str(reason)}
    except Exception as error:  # noqa: BLE001  (the code's own objects may raise anything when looked at)
        return {"detail": f"looking at it failed ({clip(type(error).__name__, 100)})"}
    return {"detail": "", "source": made.source, "about": made.about}
