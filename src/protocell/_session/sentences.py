"""Words for what became of the variables: one sentence with every execution, and never another state than there is."""

from __future__ import annotations

from typing import NamedTuple

from protocell._running.copies import Moment
from protocell.execution import State


class Untold(NamedTuple):
    """How the present state began, where the caller could not know."""

    state: State
    sentence: str


def kept(untold: Untold | None, absent: str, given_up: int) -> tuple[State, str]:
    """The interpreter lives on."""
    parts = ["the variables are as the code left them"]
    if untold is not None:
        parts.append(untold.sentence)
    return "kept" if untold is None else untold.state, _sentence(parts, absent, given_up)


def restored(moment: Moment, absent: str, given_up: int) -> tuple[State, str]:
    """It was gone back to this state."""
    parts = [f"the variables are as they were after {moment}"]
    return "restored", _sentence(parts, absent, given_up)


def _sentence(parts: list[str], absent: str, given_up: int) -> str:
    if absent:
        parts.append(f"no checkpoint was made before this execution: {absent}")
    if given_up:
        those = "the oldest checkpoint was" if given_up == 1 else f"{given_up} checkpoints were"
        parts.append(f"{those} given up for want of memory")
    return "; ".join(parts)
