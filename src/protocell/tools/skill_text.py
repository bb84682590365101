"""What the file of a skill says of itself, written and read without parsing a line of its Python.

A skill is a plain Python file. One that was saved by us begins with one comment, ``# protocell skill: {...}``: JSON
that says what its function takes and does, as the sandbox found it, and which text that was said of. After somebody
has changed the text by hand, or written a file without such a line, nothing is known of it until a sandbox looks.
Parsing happens there only: Python's parser is C, and is not to be given a stranger's text on the host.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from protocell._printable import is_printable_line, printable, printable_line
from protocell.errors import PolicyError
from protocell.tools.tool import MISSING, Kind, Parameter
from protocell_guest.skill_terms import (
    MOST_ABOUT_CHARACTERS,
    MOST_BYTES,
    MOST_DOC_CHARACTERS,
    MOST_PARAMETERS,
    MOST_SIGNATURE_CHARACTERS,
    SAVE,
)

_HEAD = "# protocell skill: "
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_KINDS: dict[object, Kind] = {kind: kind for kind in get_args(Kind)}
_DEEPEST = 32
# No screen shows them, and a person has to agree to the text: zero-width ones, tags, a byte order mark.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u2028\u2029\u2060-\u2064\ufeff\U000e0000-\U000e0fff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a skill takes and does, in its own words: as untrusted as the skill is."""

    signature: str = ""
    """As Python writes it, from the bracket on; nothing where it is not known."""
    doc: str = ""
    parameters: tuple[Parameter, ...] | None = None
    """None: not known."""
    returns: Mapping[str, Any] | None = None


def is_name(name: object) -> bool:
    """Whether a skill may be called that."""
    return (
        isinstance(name, str)
        and _NAME.fullmatch(name) is not None
        and not keyword.iskeyword(name)
        and name != SAVE
    )


def check_name(name: object) -> str:
    """The name, if a skill may be called that.

    Raises:
        PolicyError: it may not.
    """
    if isinstance(name, str) and is_name(name):
        return name
    allowed = (
        f"a Python name of up to 64 ASCII characters that begins with a letter, other than {SAVE!r}"
    )
    raise PolicyError(
        f"a skill cannot be called {printable_line(repr(name), 80)}; allowed is {allowed}"
    )


def check_source(name: str, source: object) -> str:
    """The text, with plain line ends, if it is fit to be the file of this skill.

    Raises:
        PolicyError: it is not; the message says why.
    """
    if not isinstance(source, str):
        raise PolicyError(
            f"the source of a skill is {type(source).__name__}; allowed is text (str)"
        )
    if len(source) > MOST_BYTES or len(source.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise PolicyError(
            f"the source of {name} is too large; at most {MOST_BYTES:,} bytes are kept"
        )
    text = source.replace("\r\n", "\n")
    if _INVISIBLE.search(text) or printable(text) != text:
        hidden = "control characters or others that no screen shows"
        raise PolicyError(f"the source of {name} has {hidden}; write them as escapes")
    if re.search(rf"^(?:async +)?def +{name}\b|^{name}\s*=[^=]", text, re.MULTILINE) is None:
        raise PolicyError(f"the source does not define {name} at its top level")
    return text if text.endswith("\n") else text + "\n"


def written(source: str, about: About | None) -> str:
    """The text of the file: this one, with a line about it in front; without one, as it is."""
    if about is None:
        return source
    first, _, rest = source.partition("\n")
    if first.startswith(_HEAD):
        source = rest
    return f"{_HEAD}{json.dumps(_as_json(about) | {'of': _print_of(source)})}\n{source}"


def about_of_file(text: str) -> About | None:
    """What the first line says of the lines below it; None where it says nothing that holds."""
    first, _, rest = text.partition("\n")
    if not first.startswith(_HEAD):
        return None
    told = _parsed(first.removeprefix(_HEAD))
    return _read(told) if told is not None and told.get("of") == _print_of(rest) else None


def about_of(told: object) -> About | None:
    """What a sandbox says of a skill, as JSON; None where that is nothing that ours would say."""
    parsed = _parsed(told) if isinstance(told, str) else None
    return None if parsed is None else _read(parsed)


def _print_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _parsed(text: str) -> dict[str, Any] | None:
    if len(text) > 4 * MOST_ABOUT_CHARACTERS:  # more than any that was read and written again
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if type(told) is dict and _is_shallow(told, _DEEPEST) else None


def _is_shallow(value: Any, room: int) -> bool:
    """Whether whoever walks through it later comes to its end: a schema may be nested as deep as a text is long."""
    items = value.values() if type(value) is dict else value if type(value) is list else ()
    return room > 0 and all(_is_shallow(item, room - 1) for item in items)


def _read(told: dict[str, Any]) -> About | None:
    signature, doc, returns = told.get("signature"), told.get("doc"), told.get("returns")
    if type(signature) is not str or type(doc) is not str:
        return None
    if not is_printable_line(signature) or len(signature) > MOST_SIGNATURE_CHARACTERS:
        return None
    given = told.get("parameters")
    parameters = None
    if type(given) is list and len(given) <= MOST_PARAMETERS:
        found = [_parameter(each) for each in given]
        known = [each for each in found if each is not None]
        parameters = tuple(known) if len(known) == len(found) else None
    return About(
        signature=signature if signature.startswith("(") else "",
        doc=printable(doc[:MOST_DOC_CHARACTERS]),
        parameters=parameters,
        returns=returns if type(returns) is dict else None,
    )


def _parameter(told: Any) -> Parameter | None:
    if type(told) is not dict:
        return None
    name, schema, kind = told.get("name"), told.get("schema"), _KINDS.get(str(told.get("kind")))
    if type(name) is not str or not name.isidentifier() or kind is None:
        return None
    if type(schema) is not dict or type(told.get("required")) is not bool:
        return None
    return Parameter(
        name=name,
        identifier=name,
        schema=schema,
        required=told["required"],
        default=told.get("default", MISSING),
        kind=kind,
    )


def _as_json(about: About) -> dict[str, Any]:
    parameters = None
    if about.parameters is not None:
        parameters = [_parameter_as_json(each) for each in about.parameters]
    return {
        "signature": about.signature,
        "doc": about.doc,
        "parameters": parameters,
        "returns": about.returns,
    }


def _parameter_as_json(parameter: Parameter) -> dict[str, Any]:
    said = {
        "name": parameter.name,
        "kind": parameter.kind,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    return said if parameter.default is MISSING else said | {"default": parameter.default}
