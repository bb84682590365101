"""Which pictures of a figure a notebook's settings ask for: ``%config InlineBackend.figure_formats`` and its kin.

They are formatters that IPython knows for the class of figures.  PNG is made here where it would be the same
(``figures.py`` bounds its size and knows it again), at the resolution that is asked for.
"""

from __future__ import annotations

import builtins
import functools
from typing import Any

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_PNG = "image/png"
_PICTURES = (_PNG, "image/jpeg", "image/svg+xml", "application/pdf")
_USUAL = {"fmt": "png", "base64": True, "bbox_inches": "tight"}
_SCALES = {"print_figure": 1.0, "retina_figure": 2.0}


def scale_of_png(shell: Any, figure: object) -> float | None:
    """Dots of the PNG that is to be made for one of the usual; None if IPython's own formatters make all there is."""
    formatters = shell.display_formatter.formatters
    printers = {mime: _printer(formatters.get(mime), figure) for mime in _PICTURES}
    if not any(printers.values()):
        return 1.0
    printer = printers[_PNG]
    if not isinstance(printer, functools.partial) or not printer.keywords.items() <= _USUAL.items():
        return None
    return _SCALES.get(getattr(printer.func, "__name__", ""))


def _printer(formatter: Any, figure: object) -> Any:
    """What has been registered for it, if anything."""
    try:
        return formatter.lookup(figure)
    except (AttributeError, KeyError):
        return None
