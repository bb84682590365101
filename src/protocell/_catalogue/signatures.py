"""A tool on one line: its signature, or a call of it ready to paste, with the first sentence about it."""

from __future__ import annotations

from protocell._catalogue.arguments import ordered, parameter_type, written
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.schema_hints import hint, hint_of
from protocell._catalogue.text import clip, first_sentence
from protocell.tools.tool import Parameter, Tool

MOST_CHARACTERS = 700
"""Of one line; a tool with very many required parameters reaches it."""
_PARAMETERS = 200
_HINT = 40
_HINT_OF_NEEDED = 100
_RETURNED = 60
_SENTENCE = 100
_SEEN = "seen, not promised"


def signature(catalogue: Catalogue, tool: Tool) -> str:
    """``github.create_issue(owner: str, title: str, body: str = ...) -> dict  # Create an issue``."""
    return clip(
        f"{bare_signature(catalogue, tool)}{_comment(_notes(catalogue, tool))}", MOST_CHARACTERS
    )


def bare_signature(catalogue: Catalogue, tool: Tool) -> str:
    """The same without what is said about it."""
    inner = written(tool.parameters, lambda parameter: _hint(tool, parameter), _PARAMETERS)
    returned = catalogue.returned(tool)
    arrow = f" -> {returned_hint(catalogue, tool)}" if returned else ""
    return clip(f"{catalogue.path(tool)}({inner}){arrow}", MOST_CHARACTERS)


def call(catalogue: Catalogue, tool: Tool) -> str:
    """``github.create_issue(owner=str, title=str)  # optional: body=str; gives dict; Create an issue``."""
    needed: list[str] = []
    optional: list[str] = []
    for parameter in ordered(tool.parameters):
        room = _HINT_OF_NEEDED if parameter.required else _HINT
        hint_text = hint_of(parameter_type(tool, parameter), room)
        text = _HANDED.get(parameter.kind, "{0}={1}").format(parameter.identifier, hint_text)
        (needed if parameter.required else optional).append(text)
    notes = _notes(catalogue, tool)
    if catalogue.returned(tool):
        notes.insert(0, f"gives {returned_hint(catalogue, tool)}")
    if optional:
        notes.insert(0, f"optional: {_fitting(optional)}")
    text = f"{catalogue.path(tool)}({', '.join(needed)})"
    return clip(f"{text}{_comment(notes)}", MOST_CHARACTERS)


def returned_hint(catalogue: Catalogue, tool: Tool, most: int = _RETURNED) -> str:
    """What is known of its value as a hint; Any where nothing is."""
    if (returned := catalogue.returned(tool)) is None:
        return "Any"
    return hint(returned.schema, native=returned.native, most=most)


def _hint(tool: Tool, parameter: Parameter) -> str:
    return hint_of(parameter_type(tool, parameter), _HINT)


def _notes(catalogue: Catalogue, tool: Tool) -> list[str]:
    returned = catalogue.returned(tool)
    seen = [_SEEN] if returned is not None and not returned.is_promised else []
    sentence = first_sentence(tool.description, _SENTENCE)
    return [*seen, sentence] if sentence else seen


def _comment(notes: list[str]) -> str:
    return f"  # {'; '.join(notes)}" if notes else ""


def _fitting(texts: list[str]) -> str:
    kept: list[str] = []
    for text in texts:
        if sum(map(len, kept)) + len(text) > _PARAMETERS:
            return ", ".join([*kept, "..."])
        kept.append(text)
    return ", ".join(kept)


# By position, or any number of them: what cannot be written as a keyword.
_HANDED = {"positional_only": "{1}", "variadic": "*{0}: {1}", "keywords": "**{0}: {1}"}
