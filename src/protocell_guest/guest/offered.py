"""What code finds under its names without having made it, and whether that still is what it was."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from protocell_guest.code_calls import Names
from protocell_guest.guest.late_names import may_appear
from protocell_guest.guest.skill_shelf import Package
from protocell_guest.guest.tool_spaces import is_as_made, would_import

if TYPE_CHECKING:
    from collections.abc import Mapping

# Functions of this module keep these builtins when the code assigns to builtins.dict or the like.
globals()["__builtins__"] = dict(vars(builtins))

_MISSING = object()


class Offered(Names):
    """What was put into one namespace for the code."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self.names: dict[str, Any] = {}
        """With what they were given to mean."""

    def replace(self, names: Mapping[str, Any]) -> None:
        """Offer these in place of what was offered before; what the code made stays."""
        before, self.names = self.names, dict(names)
        for name in {**before, **self.names}:
            if name in self._namespace and self._namespace[name] is not before.get(name, _MISSING):
                continue  # the code's
            if name in self.names:
                self._namespace[name] = self.names[name]
            else:
                self._namespace.pop(name, None)

    def is_ours(self, name: str) -> bool:
        """Whether code that begins now would find what it was offered, as it was offered."""
        thing = self.names.get(name, _MISSING)
        if self._namespace.get(name) is not thing:
            return False
        return thing.is_as_made() if type(thing) is Package else is_as_made(thing)

    def is_known(self, name: str) -> bool:
        """Whether it would find anything, or may by then."""
        is_there = name in self._namespace or hasattr(builtins, name)
        return is_there or may_appear(self._namespace, name)

    def is_imported(self, name: str) -> bool:
        """Whether an import would give it what it was offered under the name."""
        thing = self.names.get(name)
        return thing.is_imported() if type(thing) is Package else would_import(name)
