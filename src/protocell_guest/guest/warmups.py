"""Small trusted programs that touch what a first use of a package touches, ahead of time.

A forked process pays for each page that it writes first (some 4 µs), and the first use of pandas in
a fresh fork writes thousands: 14 ms, against 1.4 ms for the second use.  The zygote runs all of it
once, so that lazy imports and caches are in the template.  A waiting context runs the part that pays:
its pages are its own before the model's code asks for them, at some 3 MB of memory for pandas.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

Step = Callable[[], None]


class Warmups(NamedTuple):
    """What to run once in the template, and in each context that waits."""

    template: Step
    context: Step


def _numpy() -> None:
    numpy = sys.modules["numpy"]
    values = numpy.arange(64, dtype=float).reshape(8, 8)
    (values @ values).sum()
    repr(values[0])


def _pandas() -> None:
    pandas = sys.modules["pandas"]
    frame = pandas.DataFrame({"key": ["a", "b", "a"], "value": [1.0, 2.5, 3.0]})
    frame.groupby("key")["value"].sum()


def _more_pandas() -> None:
    pandas = sys.modules["pandas"]
    frame = pandas.DataFrame({"key": ["a", "b", "a"], "value": [1.0, 2.5, 3.0]})
    frame.groupby("key")["value"].agg(["sum", "mean"]).sort_values("sum").reset_index()
    frame.describe()
    repr(frame)


_CONTEXT: dict[str, Step] = {"numpy": _numpy, "pandas": _pandas}
_TEMPLATE: dict[str, Step] = {**_CONTEXT, "pandas": _more_pandas}


def for_packages(names: Sequence[str]) -> Warmups:
    """What to run for these preloaded packages."""
    return Warmups(
        template=_in_turn(_known(_TEMPLATE, names)), context=_in_turn(_known(_CONTEXT, names))
    )


def _known(steps: dict[str, Step], names: Sequence[str]) -> Sequence[Step]:
    return [steps[name] for name in names if name in steps]


def _in_turn(steps: Sequence[Step]) -> Step:
    def warm() -> None:
        for step in steps:
            # A package of another version may lack what is used here: its first use is slower then.
            with contextlib.suppress(AttributeError, TypeError, ValueError):
                step()

    return warm
