"""``exit`` and ``quit`` of a notebook, which end the cell here, and not the interpreter."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_autocall: Any = import_module("IPython.core.autocall")


class Leave(_autocall.IPyAutocall):  # type: ignore[misc]
    """With brackets or without."""

    rewrite = False

    def __call__(self, code: object = None, *, keep_kernel: bool = False) -> None:
        """End the cell, with this exit code; who keeps the kernel closes a page, which there is none of."""
        if not keep_kernel:
            raise SystemExit(code)
