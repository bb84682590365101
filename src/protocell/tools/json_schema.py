"""Whether a value fits a JSON schema 2020-12 that a stranger wrote: bounded, whatever either of them is.

Why not a library: those are made for schemas that one trusts. In jsonschema 4.26 a ``$schema`` deep inside
changes the class that validates, each message holds the text of the whole value, patterns run in ``re``, and a
``$ref`` to an unknown anchor searches the whole schema; so its time cannot be bounded from outside. It is the
oracle of our tests instead.

Bounded: each application of a subschema is a step, and after ``MOST_STEPS`` the value counts as fitting, since
the server looks at it too. That ends references in a circle, and ``allOf`` that doubles at each level. Never
fetched: references that leave the schema; such a schema checks nothing. Not checked: ``pattern`` and
``patternProperties`` (a search can take exponential time), ``format``, ``unevaluatedProperties`` and
``unevaluatedItems``. What older drafts and OpenAPI 3.0 say differently (a list under ``items``, a boolean
``exclusiveMinimum``, ``nullable``) is understood or left out, never misread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from protocell.tools.json_keywords import BOUNDS, KEYWORDS, Path, Problem, family

MOST_STEPS = 50_000
MOST_DEPTH = 60
MOST_PROBLEMS = 20

# ``format`` is not here: what 2020-12 says of it is a note, not a rule.
_LEFT_OUT = frozenset({"pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems"})


class UnreadableError(Exception):
    """The schema says nothing that can be followed, or too much of it."""


def problems(schema: Any, value: Any, *, most_steps: int = MOST_STEPS) -> list[Problem]:
    """Why the value, which is JSON, does not fit; nothing where it does, or where it cannot be known."""
    try:
        return Check(schema, most_steps).of(schema, value, ())[:MOST_PROBLEMS]
    except _UNREADABLE:
        return []  # a schema may hold anything anywhere: a number under "properties", say


_UNREADABLE = (
    UnreadableError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


class Check:
    """One value against one schema."""

    def __init__(self, root: Any, most_steps: int) -> None:
        self._root = root
        self._left = most_steps
        self._depth = 0
        self._unsure = False

    def of(self, schema: Any, value: Any, path: Path) -> list[Problem]:
        """Why this part of the value does not fit this part of the schema."""
        self.spend(1)
        if schema is True or schema is False:
            return [] if schema else [Problem(path, "should not be there")]
        if not isinstance(schema, Mapping) or self._depth >= MOST_DEPTH:
            raise UnreadableError
        self._depth += 1
        try:
            return list(self._keywords(schema, value, path))
        finally:
            self._depth -= 1

    def fits(self, schema: Any, value: Any) -> bool | None:
        """Whether it does; None where it does as far as it was looked at."""
        before, self._unsure = self._unsure, False
        fits = not self.of(schema, value, ())
        unsure, self._unsure = self._unsure, self._unsure or before
        return None if fits and unsure else fits

    def spend(self, steps: int) -> None:
        """Counts work."""
        self._left -= steps
        if self._left < 0:
            raise UnreadableError

    def referred(self, reference: str) -> Any:
        """What ``#``, ``#/a/pointer`` or ``#anchor`` points to, in this schema."""
        first, *names = reference.split("/")
        if first != "#":
            return self._anchored(first)
        found = self._root
        for name in names:
            key = name.replace("~1", "/").replace("~0", "~")
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found

    def _anchored(self, reference: str) -> Any:
        for definition in self._root["$defs"].values():
            self.spend(1)
            names = (f"#{definition.get(key)}" for key in ("$anchor", "$dynamicAnchor"))
            if reference in names:
                return definition
        raise UnreadableError

    def _keywords(self, schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[Problem]:
        if value is None and schema.get("nullable") is True:
            return
        kind = family(value)
        for keyword, said in schema.items():
            if keyword in _LEFT_OUT:
                self._unsure = True
            elif keyword in KEYWORDS:
                yield from KEYWORDS[keyword](self, said, value, path, schema)
            elif (keyword, kind) in BOUNDS and not isinstance(said, bool):
                wanted = BOUNDS[keyword, kind](said, value)
                if wanted:
                    yield Problem(path, wanted)
