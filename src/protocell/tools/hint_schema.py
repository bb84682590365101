"""The JSON schema of a hint, as pydantic gives it, in the form that a model is shown and the catalogue reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

_OF_KEYS = {"integer": "int", "number": "float", "boolean": "bool"}


def schema_of(adapter: TypeAdapter[Any], mode: Any) -> dict[str, Any]:
    """Of what pydantic takes (``mode="validation"``) or gives (``"serialization"``).

    Raises:
        PydanticUserError: JSON has nothing for it.
    """
    schema = adapter.json_schema(mode=mode, schema_generator=_Schema)
    if schema.get("title") == "Arguments":
        del schema["title"]
    return schema


class _Schema(GenerateJsonSchema):
    """Without a title for each field that only repeats its name, which would cost the model tokens."""

    ignored_warning_kinds = {  # noqa: RUF012  (a field of pydantic's)
        "skipped-choice",
        "non-serializable-default",
        "skipped-discriminator",
    }

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  (pydantic's)
        return False

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        return self._with_keys(super().dict_schema(schema), schema)

    def ordered_dict_schema(self, schema: Any) -> dict[str, Any]:
        return self._with_keys(super().ordered_dict_schema(schema), schema)

    def counter_schema(self, schema: Any) -> dict[str, Any]:
        return self._with_keys(super().counter_schema(schema), schema)

    def _with_keys(self, made: dict[str, Any], schema: Any) -> dict[str, Any]:
        """JSON has text for all keys; the code gets those that the function gives."""
        if self.mode == "serialization" and "keys_schema" in schema:
            keys = self.generate_inner(schema["keys_schema"])
            if "propertyNames" not in made and keys.get("type") != "string":
                made["propertyNames"] = _as_names(keys)
        return made


def _as_names(keys: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of keys as one of their text: what they are is its format."""
    if "anyOf" in keys:
        return {"anyOf": [_as_names(each) for each in keys["anyOf"]]}
    if keys.get("type") == "string" or "$ref" in keys:
        return dict(keys)
    return {"type": "string", "format": _OF_KEYS.get(keys.get("type", ""), "Any")}
