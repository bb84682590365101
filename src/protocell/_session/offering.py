"""Tells an interpreter what its code is to find: tools and skills, when they are others than it knows of.

The cards of many tools and the texts of skills are more than a message may have, so they go in a file in memory.
What a skill by somebody's hand takes and does, an interpreter is asked about in which no code has run yet: its
answer is for all sandboxes, and after the first line of code it would be the code's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from protocell._boxes.box import out_of_descriptors
from protocell._boxes.kernel_box import KernelBox
from protocell._running.talk import ask
from protocell._session.patience import Patience, patient
from protocell._waiter import Waiter

if TYPE_CHECKING:
    from protocell._broker.desk import Desk
    from protocell.tools.skill_source import SkillSource
    from protocell.tools.skills import Book

_MOST_AT_ONCE = 50  # skills that are asked about in one question


class Told(NamedTuple):
    """What an interpreter knows of."""

    cards: list[dict[str, Any]]
    book: Book


class Offer(NamedTuple):
    """What there is for the code of a context."""

    desk: Desk
    shelf: SkillSource | None


async def tell(
    offer: Offer, box: KernelBox, told: Told | None, waiter: Waiter, number: int, *, is_fresh: bool
) -> Told:
    """Tell an interpreter what it does not know yet; ``is_fresh`` if no code has run there.

    Raises:
        FileError: the folder of the skills cannot be read.
        ProtocolError, SandboxDiedError: the interpreter does not answer as ours does.
    """
    desk, shelf = offer
    if shelf is not None:
        await waiter.apart(shelf.refresh)
        if is_fresh:
            with patient(waiter) as patience:
                await _learn(shelf, box, patience, number)
    cards = await desk.cards(waiter)
    book = () if shelf is None else shelf.book
    if told is not None and told.cards is cards and told.book is book:
        return told
    letter: dict[str, Any] = {"cards": cards}
    if shelf is not None and (told is None or told.book is not book):
        letter["skills"] = {entry.skill.name: entry.text for entry in book}
    with patient(waiter) as patience, _file_of(letter) as file:
        await ask(box, {"op": "tools", "id": number}, patience, [file])
    return Told(cards, book)


async def _learn(skills: SkillSource, box: KernelBox, waiter: Patience, number: int) -> None:
    """Have it look at the skills of which nobody knows what they take."""
    unknown = [entry for entry in skills.book if entry.about is None]
    for first in range(0, len(unknown), _MOST_AT_ONCE):
        entries = unknown[first : first + _MOST_AT_ONCE]
        for entry in entries:  # a text that ends who looks at it is not looked at again
            skills.skills.learn(entry, None)
        with _file_of({entry.skill.name: entry.text for entry in entries}) as file:
            answer = await ask(box, {"op": "skills", "id": number}, waiter, [file])
        found = answer.get("about")
        for entry in entries:
            skills.skills.learn(entry, found.get(entry.skill.name) if type(found) is dict else None)
    if unknown:
        await waiter.apart(skills.refresh)


@contextmanager
def _file_of(letter: Mapping[str, Any]) -> Iterator[int]:
    try:
        file = os.memfd_create("letter", os.MFD_CLOEXEC)
    except OSError as error:
        raise out_of_descriptors() from error
    try:
        unsent = memoryview(json.dumps(letter, separators=(",", ":")).encode("ascii"))
        while unsent:
            unsent = unsent[os.write(file, unsent) :]
        yield file
    finally:
        os.close(file)
