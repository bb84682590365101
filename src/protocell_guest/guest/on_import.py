"""What is to happen to a module right after it was imported, whoever imports it and whenever.

A cell may import matplotlib and use it in the same breath, so a look at ``sys.modules`` before each
cell comes too late. A finder that stands first asks the others for the module's spec and lets its
own loader run the hook after the module; module, spec and loader stay what they are otherwise.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Hook = Callable[[ModuleType], None]

_hooks: dict[str, Hook] = {}


def when_imported(name: str, hook: Hook) -> None:
    """Run the hook on this module now if it is there, and after each import of it.

    The hook has to bear running twice on one module. That a module of another version lacks what the
    hook looks for (AttributeError, TypeError, KeyError) costs the hook, not the import.
    """
    _hooks[name] = hook
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    module = sys.modules.get(name)
    if isinstance(module, ModuleType) and not _is_being_imported(module):
        _run(hook, module)


def _is_being_imported(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _run(hook: Hook, module: ModuleType) -> None:
    with contextlib.suppress(AttributeError, TypeError, KeyError):
        hook(module)


class _Finder:
    """Finds nothing itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        hook = _hooks.get(name)
        if hook is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = (
                None if finder is self or not find else find(name, path, target)
            )
            if spec is not None:
                _follow(spec.loader, hook)
                return spec
        return None


_FINDER: Any = _Finder()


def _follow(loader: Any, hook: Hook) -> None:
    """Let this loader, which serves one module, run the hook after it."""
    original = getattr(loader, "exec_module", None)
    if original is None:
        return

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module
        original(module)
        _run(hook, module)

    with contextlib.suppress(AttributeError, TypeError):  # a loader that takes no attributes
        loader.exec_module = exec_module
