"""Lends IPython's only shell to something beside the session, and takes it back as it was."""

from __future__ import annotations

import builtins
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocell_guest.guest.notebook_shell import Shell

# Functions of this module keep these builtins when the code assigns to builtins.dict or the like.
globals()["__builtins__"] = dict(vars(builtins))


@contextmanager
def borrowed(shell: Shell) -> Iterator[None]:
    """For a session beside the one that goes on afterwards."""
    hook = sys.displayhook
    with _as_it_was(shell):
        try:
            yield
        finally:
            sys.displayhook = hook


@contextmanager
def rehearsing(shell: Shell) -> Iterator[None]:
    """For cells before the first one, of which nobody is to know."""
    history = shell.history_manager
    hidden = dict(shell.user_ns_hidden)
    with borrowed(shell), _as_it_was(history), _as_it_was(shell.displayhook):
        yield
    shell.user_ns_hidden.clear()
    shell.user_ns_hidden.update(hidden)
    for inputs in (history.input_hist_parsed, history.input_hist_raw):
        del inputs[1:]
    history.output_hist.clear()


@contextmanager
def _as_it_was(thing: Any) -> Iterator[None]:
    """For something with traits: their values, and its attributes."""
    attributes, traits = dict(vars(thing)), dict(thing._trait_values)
    try:
        yield
    finally:
        thing.__dict__.update(attributes)
        thing._trait_values.update(traits)
