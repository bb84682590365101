"""What the frozen settings share, so that a wrong field is refused in the same words everywhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Generic, Self, TypeVar

from protocell._printable import printable_line
from protocell.errors import PolicyError

Given_contra = TypeVar("Given_contra", contravariant=True)
Kept_co = TypeVar("Kept_co", covariant=True)


class Converted(Generic[Given_contra, Kept_co]):
    """Declares a field that is given as one type and kept as another.

    ``Converted[int | str, int]`` accepts an int or text, and is an int when it is read.

    Type checkers read both types from the descriptor. At run time only the default is taken from
    it: a slotted dataclass puts its own slot in this place, and ``__post_init__`` converts.
    """

    def __init__(self, default: Kept_co) -> None:
        self._default = default

    def __get__(self, instance: object | None, owner: type | None = None) -> Kept_co:
        return self._default

    def __set__(self, instance: object, value: Given_contra) -> None:
        raise AttributeError("a declaration only; the dataclass has its own slot for this field")


class Settings:
    """Base of the frozen settings: an unknown field is a ``PolicyError`` with the nearest name.

    The check is in ``__new__``, because a dataclass's own ``__init__`` raises a bare TypeError.
    """

    __slots__ = ()
    required: ClassVar[tuple[str, ...]] = ()
    """Fields that must be given; type checkers read ``Converted`` from fields with a default only."""

    def __new__(cls, *args: object, **given: object) -> Self:
        if args:
            raise PolicyError(
                f"{cls.__name__} takes its fields by name only, as in {_example(cls)}"
            )
        if given:  # copy and pickle give none, and set the slots afterwards
            refuse_unknown_fields(cls, given)
        return super().__new__(cls)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The settings that such a mapping describes; what it leaves out has its default.

        Raises:
            PolicyError: a field does not exist, is missing, or has a value that is not allowed.
        """
        refuse_other_than_mapping(cls.__name__, given)
        refuse_unknown_fields(cls, given)
        return cls(**given)


def refuse_unknown_fields(cls: type[Settings], given: Mapping[str, object]) -> None:
    known = _names_of_fields(cls)
    for name in given:
        if name not in known:
            raise PolicyError(f"{cls.__name__} has no field {quoted(name)}; {nearest(name, known)}")
    for name in cls.required:
        if name not in given:
            raise PolicyError(f"{cls.__name__} needs {name}, as in {_example(cls)}")


def refuse_other_than_mapping(what: str, given: object) -> None:
    if not isinstance(given, Mapping) or not all(type(name) is str for name in given):
        raise PolicyError(
            f"{what} is {quoted(given)}; allowed is a mapping of field names to values"
        )


def names(field: str, given: object) -> tuple[str, ...]:
    """The given names in order and each once; a bare string, to be spelled out, is refused."""
    if isinstance(given, str):
        raise PolicyError(f"{field} is the string {quoted(given)}; write [{quoted(given)}]")
    if not isinstance(given, Iterable) or isinstance(given, bytes | Mapping):
        raise PolicyError(f"{field} is {quoted(given)}; allowed is a sequence of names")
    kept: dict[str, None] = {}
    for name in given:
        if type(name) is not str:
            raise PolicyError(f"{field} has {quoted(name)} in it; allowed are strings")
        kept[name] = None
    return tuple(kept)


def keep(settings: object, field: str, value: object) -> None:
    """Sets a field of a frozen dataclass; only for its own ``__post_init__``."""
    object.__setattr__(settings, field, value)


def quoted(value: object) -> str:
    """A value as a message shows it: short, on one line, whatever its repr does."""
    try:
        return printable_line(repr(value), 100)
    except Exception as odd:  # noqa: BLE001 - any repr; an int of 5000 digits has none, for one
        return f"a {type(value).__name__} whose repr raises {type(odd).__name__}"


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of a sentence that refuses an unknown name: the nearest known one, or all of them."""
    choices = list(known)
    close = difflib.get_close_matches(str(name)[:100], choices, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(choices)}"


def _names_of_fields(cls: type[Settings]) -> list[str]:
    return [field.name for field in fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses


def _example(cls: type[Settings]) -> str:
    shown = cls.required or _names_of_fields(cls)[:1]
    return f"{cls.__name__}({', '.join(f'{name}=...' for name in shown)})"
