"""The JSON schema by which the endpoint itself checks what is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from endpoint_templates.facts import Facility
from endpoint_templates.fields import SetBy
from endpoint_templates.limits import conditions
from endpoint_templates.options import defaults, set_by

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(
    model: type[BaseModel], given: Mapping[str, Any], *, title: str, facility: Facility | None
) -> dict[str, Any]:
    """The schema of the options of whoever submits.

    Args:
        model: The template's parameters.
        given: What the installer has set: the defaults of options.
        title: What the schema is called.
        facility: Whose limits hold, if any.
    """
    taken = {name: value for name, value in (defaults(model) | dict(given)).items() if value is not None}
    described = model.model_json_schema()["properties"]
    fields = [name for name, field in model.model_fields.items() if set_by(field) is SetBy.SUBMITTER]
    schema: dict[str, Any] = {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "properties": {name: _property(described[name], taken.get(name)) for name in fields},
        "required": [name for name in fields if name not in taken and model.model_fields[name].is_required()],
        "additionalProperties": False,
    }
    if facility is not None and facility.queues:
        schema["allOf"] = conditions(facility, taken)
    return schema


def _property(described: Mapping[str, Any], default: Any) -> dict[str, Any]:
    """One option, without pydantic's ``null``: an option that is not wanted is left out."""
    inner: Mapping[str, Any] = next((kind for kind in described.get("anyOf", []) if kind.get("type") != "null"), {})
    names = ("title", "default", "anyOf")
    found = {name: value for name, value in described.items() if name not in names} | dict(inner)
    found = {name: _strict(value) if name == "pattern" else value for name, value in found.items()}
    return found if default is None else found | {"default": default}


def _strict(pattern: str) -> str:
    """The endpoint matches with Python's ``re``, where ``$`` also stands before a last line break; this does not."""
    return pattern.removesuffix("$") + r"(?![\s\S])"
