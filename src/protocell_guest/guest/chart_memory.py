"""What box plots, violins and pies were made of, which matplotlib does not keep, is kept with what it drew.

A box plot is drawn as a heap of short lines, which say no more than lines do; a violin as an outline; a pie as
angles.  All of them (matplotlib's, pandas', seaborn's boxes) come by one method each, which is given the numbers.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Keep = Callable[[Any, Any, Any, dict[str, Any]], None]

_VALUE = "_protocell_value"


def remember(module: Any) -> None:
    """Have the methods of ``Axes`` leave what they were given; ``module`` is matplotlib.axes._axes."""
    _wrap(module.Axes, "bxp", "bxpstats", _keep_boxes)
    _wrap(module.Axes, "violin", "vpstats", _keep_violins)
    _wrap(module.Axes, "pie", "x", _keep_slices)


def boxes_of(axes: Any) -> list[tuple[list[Any], Any]]:
    """Statistics and artists of the box plots that are still there: ``cla()`` removes artists."""
    kept = vars(axes).get("_protocell_boxes", [])
    return [
        (stats, drawn) for stats, drawn in kept if all(m.axes is axes for m in drawn["medians"])
    ]


def violins_of(axes: Any) -> list[tuple[list[Any], list[Any]]]:
    """Statistics and bodies of matplotlib's violins that are still there."""
    kept = vars(axes).get("_protocell_violins", [])
    return [(stats, bodies) for stats, bodies in kept if all(b.axes is axes for b in bodies)]


def value_of(wedge: Any) -> float | None:
    """What a slice of a pie stands for."""
    value: float | None = vars(wedge).get(_VALUE)
    return value


def _wrap(kind: Any, name: str, first: str, keep: Keep) -> None:
    """``first`` is the name of the first argument, by which the code can give it as well."""
    original = getattr(kind, name)
    if hasattr(original, "__protocell__"):
        return

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not args and first in kwargs:
            args = (kwargs.pop(first),)
        if args and hasattr(args[0], "__next__"):
            args = (list(args[0]), *args[1:])  # a generator can be read once only
        artists = original(self, *args, **kwargs)
        keep(self, args[0], artists, kwargs)
        return artists

    method.__protocell__ = True  # type: ignore[attr-defined]
    setattr(kind, name, method)


def _keep_boxes(axes: Any, statistics: Any, artists: Any, _more: dict[str, Any]) -> None:
    vars(axes).setdefault("_protocell_boxes", []).append((list(statistics), artists))


def _keep_violins(axes: Any, statistics: Any, artists: Any, _more: dict[str, Any]) -> None:
    kept = vars(axes).setdefault("_protocell_violins", [])
    kept.append((list(statistics), list(artists["bodies"])))


def _keep_slices(_axes: Any, values: Any, artists: Any, more: dict[str, Any]) -> None:
    if isinstance(values, str):  # the name of a column: pie("votes", data=frame)
        values = more["data"][values]
    # Up to matplotlib 3.10 it returns a tuple.
    wedges = artists.wedges if hasattr(artists, "wedges") else artists[0]
    for wedge, value in zip(wedges, values, strict=False):
        setattr(wedge, _VALUE, float(value))
