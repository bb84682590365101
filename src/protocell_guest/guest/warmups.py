"""Small trusted programs that touch what a first use of a package touches, ahead of time.

A forked process pays for each page that it writes first (some 4 µs), and the first use of pandas in
a fresh fork writes thousands: 14 ms, against 1.4 ms for the second use.  The zygote runs these once,
so that lazy imports and caches are in the template; a waiting context runs them again, so that the
pages are its own before the model's code asks for them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence

from protocell_guest.guest import interpreter


def _numpy() -> None:
    numpy = sys.modules["numpy"]
    values = numpy.arange(64, dtype=float).reshape(8, 8)
    (values @ values).sum()
    repr(values[0])


def _pandas() -> None:
    pandas = sys.modules["pandas"]
    frame = pandas.DataFrame({"key": ["a", "b", "a"], "value": [1.0, 2.5, 3.0]})
    frame.groupby("key")["value"].agg(["sum", "mean"]).sort_values("sum").reset_index()
    frame.describe()
    repr(frame)


_WARMUPS: dict[str, Callable[[], None]] = {"numpy": _numpy, "pandas": _pandas}


def for_packages(names: Sequence[str]) -> Callable[[], None]:
    """What to run for these preloaded packages."""
    chosen = [interpreter.warm, *(_WARMUPS[name] for name in names if name in _WARMUPS)]

    def warm() -> None:
        for step in chosen:
            # A package of another version may lack what a warm-up uses: the first use is slower then.
            with contextlib.suppress(AttributeError, TypeError, ValueError):
                step()

    return warm
