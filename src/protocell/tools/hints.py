"""The hints of users' functions, through pydantic: what comes is checked and converted, what goes is written.

A ``TypedDict`` of the parameters is what pydantic gets, not the function itself: its names may be anything
(a field of a model may not be called ``copy``, or begin with ``_``), it is checked without being called, and
it has one JSON schema however the parameters are passed.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, Required

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on only

from protocell.errors import PolicyError
from protocell.tools.callables import Callee, Formal
from protocell.tools.hint_schema import schema_of
from protocell.tools.json_keywords import Problem
from protocell.tools.tool import MISSING, Parameter
from protocell.tools.values import Audio, Image, Resource, ResourceLink
from protocell_guest.values import UnfitError, plain

_CONTENT = (Audio, Image, Resource, ResourceLink)
_JSON = (Any, None, type(None), str, int, float, bool, bytes)
_SHARED = "$defs"
_MOST_ERRORS = 1_000


class Arguments:
    """What a function takes."""

    def __init__(self, callee: Callee, identifiers: Mapping[str, str]) -> None:
        self._formals = callee.formals
        self._names = {each.name for each in callee.formals if each.kind != "keywords"}
        named = [each for each in callee.formals if each.kind != "keywords"]
        self._others: TypeAdapter[Any] | None = None
        others = next((each for each in callee.formals if each.kind == "keywords"), None)
        try:
            self._adapter = TypeAdapter(_dict_of(named))
            self.schema = schema_of(self._adapter, "validation")
            if others is not None:
                self._take_others(others)
        except (PydanticUserError, TypeError) as odd:
            raise _refusal(callee, odd) from odd
        described = _described(self.schema, callee.formals)
        found = [_parameter(each, described[each.name], identifiers) for each in callee.formals]
        self.parameters = tuple(sorted(found, key=lambda each: not each.required))

    def _take_others(self, others: Formal) -> None:
        self._others = TypeAdapter(dict[str, others.hint])  # type: ignore[name-defined]  # at run time
        schema = schema_of(self._others, "validation")
        self.schema["additionalProperties"] = schema.get("additionalProperties", True)
        if _SHARED in schema:
            self.schema.setdefault(_SHARED, {}).update(schema[_SHARED])

    def validated(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the hints want them.

        Raises:
            ValidationError: pydantic's; ``problems_of`` tells it.
        """
        known, further = self._parted(arguments)
        ready: dict[str, Any] = dict(self._adapter.validate_python(known))
        if further and self._others is not None:
            ready.update(self._others.validate_python(further))
        return ready

    def shown(self, ready: Mapping[str, Any]) -> dict[str, Any]:
        """The same in plain values; where there are none for it, as it is."""
        known, further = self._parted(ready)
        try:
            told: dict[str, Any] = self._adapter.dump_python(known, by_alias=True, warnings=False)
            if self._others is not None:
                told |= self._others.dump_python(further, by_alias=True, warnings=False)
            return {name: plain(value) for name, value in told.items()}
        except (PydanticSerializationError, TypeError, UnfitError):
            return dict(ready)

    def _parted(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        known = {name: value for name, value in arguments.items() if name in self._names}
        if len(known) == len(arguments):
            return known, {}
        further = {name: value for name, value in arguments.items() if name not in self._names}
        return known, further

    def bound(self, ready: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The same as Python passes them: by position where it has to be."""
        rest = dict(ready)
        tail = next(
            (rest.pop(each.name, ()) for each in self._formals if each.kind == "variadic"), ()
        )
        by_position = [
            rest.pop(each.name, each.default)
            for each in self._formals
            if each.kind == "positional_only" or (each.kind == "normal" and tail)
        ]
        return [*by_position, *tail], rest


class Result:
    """What a function gives."""

    def __init__(self, callee: Callee) -> None:
        self._adapter: TypeAdapter[Any] | None = None
        self.schema: Mapping[str, Any] | None = None
        hint = callee.returns
        if hint in _CONTENT:
            self.schema = {"type": "object", "title": hint.__name__}
        elif hint is not Any and not _has_content(hint):
            self._promise(hint)

    def _promise(self, hint: Any) -> None:
        try:
            adapter = TypeAdapter(hint)
            self.schema = schema_of(adapter, "serialization")
        except PydanticUserError:  # a type of its own: what it gives is looked at then
            return
        self._adapter = None if hint in _JSON else adapter

    def written(self, value: Any) -> Any:
        """The value as the code gets it.

        Where the function says what it gives, it gives that: of a subclass, the fields of the class
        that is promised. What is no such value at all goes as it is; that is no reason to lose it.

        Raises:
            UnfitError: it cannot cross.
        """
        if self._adapter is not None:
            try:
                value = self._adapter.dump_python(value, by_alias=True, warnings=False)
            except (
                PydanticSerializationError,
                TypeError,
            ):  # a set of models would be a set of dicts
                return plain(value)
        return plain(value)


def problems_of(error: ValidationError, arguments: Mapping[str, Any]) -> list[Problem]:
    """What pydantic found, by the path in what was sent; what is said of one place stands together."""
    if (count := error.error_count()) > _MOST_ERRORS:  # it would make an object of each
        return [Problem((), f"{count} values are not of the types that they should be")]
    found: dict[tuple[str | int, ...], list[str]] = {}
    for each in error.errors(include_url=False, include_context=False):
        path = _path(each["loc"], arguments, is_missing=each["type"] == "missing")
        found.setdefault(path, []).append(_wanted(each["type"], each["msg"], each["input"]))
    return [Problem(path, " or ".join(dict.fromkeys(wanted))) for path, wanted in found.items()]


def _wanted(kind: str, message: str, given: Any) -> str:
    if kind == "missing":
        return "is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not known"
    words = message.removeprefix("Input ").removeprefix("Value error, ")
    return f"{words}, is {type(given).__name__}" if kind.endswith("_type") else words


def _path(location: Sequence[str | int], given: Any, *, is_missing: bool) -> tuple[str | int, ...]:
    """Without what pydantic puts between: the members of unions, the names of functions."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        try:
            given = given[part]
        except (LookupError, TypeError):
            if not path or (is_missing and index == len(location) - 1):
                path.append(part)
            continue
        path.append(part)
    return tuple(path)


def _refusal(callee: Callee, odd: Exception) -> PolicyError:
    guilty = next((each for each in callee.formals if not _is_readable(each)), None)
    if guilty is None:
        return PolicyError(f"{callee.name} cannot be a tool: {str(odd).partition(chr(10))[0]}")
    return PolicyError(
        f"{callee.name} cannot be a tool: no code can send what {guilty.name} is hinted as, "
        f"{guilty.hint!r:.80}; bind it with functools.partial, or hint it otherwise"
    )


def _is_readable(formal: Formal) -> bool:
    """Of this one alone, since pydantic does not say which one it was."""
    alone = dataclasses.replace(formal, kind="keyword_only")
    try:
        schema_of(
            TypeAdapter(_dict_of([alone if formal.kind == "keywords" else formal])), "validation"
        )
    except (PydanticUserError, TypeError):
        return False
    return True


def _dict_of(formals: Sequence[Formal]) -> Any:
    make: Any = TypedDict  # the names are data, of which a type checker can say nothing
    made = make("Arguments", {each.name: _field(each) for each in formals})
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    return made


def _field(formal: Formal) -> Any:
    hint = list[formal.hint] if formal.kind == "variadic" else formal.hint  # type: ignore[name-defined]
    if isinstance(
        formal.default, FieldInfo
    ):  # x: int = Field(gt=0), as pydantic's own decorator has it
        required = formal.default.is_required()
        return _marked(Annotated[hint, formal.default], required=required)
    return _marked(hint | None if formal.default is None else hint, required=formal.is_required)


def _marked(hint: Any, *, required: bool) -> Any:
    return Required[hint] if required else NotRequired[hint]


def _described(schema: dict[str, Any], formals: Sequence[Formal]) -> dict[str, dict[str, Any]]:
    """The schema of each parameter, with its default and its description in it."""
    properties: dict[str, dict[str, Any]] = schema.setdefault("properties", {})
    found: dict[str, dict[str, Any]] = {}
    for each in formals:
        if each.kind == "keywords":
            others = schema["additionalProperties"]
            found[each.name] = others if isinstance(others, dict) else {}
            continue
        if each.name not in properties:
            raise PolicyError(
                f"parameter {each.name} has an alias; call it what it should be called"
            )
        found[each.name] = own = properties[each.name]
        if each.description:
            own.setdefault("description", each.description)
        if (default := _default(each)) is not MISSING:
            own.setdefault("default", default)
    return found


def _default(formal: Formal) -> Any:
    if formal.default is inspect.Parameter.empty or isinstance(formal.default, FieldInfo):
        return MISSING
    try:
        return to_jsonable_python(formal.default)
    except (PydanticSerializationError, ValueError, TypeError):
        return MISSING


def _parameter(
    formal: Formal, schema: Mapping[str, Any], identifiers: Mapping[str, str]
) -> Parameter:
    is_field = isinstance(formal.default, FieldInfo)
    return Parameter(
        name=formal.name,
        identifier=identifiers[formal.name],
        schema=schema,
        required=formal.default.is_required() if is_field else formal.is_required,
        default=schema.get("default", MISSING),
        description=schema.get("description", formal.description),
        kind=formal.kind,
    )


def _has_content(hint: Any) -> bool:
    return hint in _CONTENT or any(map(_has_content, typing.get_args(hint)))
