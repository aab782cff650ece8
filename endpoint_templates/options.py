"""From what people give to values that a template's model has accepted."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from endpoint_templates.errors import TemplateError
from endpoint_templates.facts import Facility
from endpoint_templates.fields import SetBy
from endpoint_templates.kinds import kind_of
from endpoint_templates.limits import beyond_limits

SHOWN = 60


def set_by(field: FieldInfo) -> SetBy:
    """Who may set a parameter."""
    return SetBy.INSTALLER if SetBy.INSTALLER in field.metadata else SetBy.SUBMITTER


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The parameters that need not be given, and what is taken for them."""
    return {name: field.get_default() for name, field in model.model_fields.items() if not field.is_required()}


def options_from(pairs: Sequence[str], model: type[BaseModel]) -> dict[str, Any]:
    """Turns words of a command line into values.

    Args:
        pairs: Such as ``nodes=4``. A list is written with commas, or as JSON.
        model: The parameters of a template.

    Raises:
        TemplateError: If a word has no ``=``, names no parameter or one twice, or its value is not accepted.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise TemplateError(_shown(pair), "is not of the form NAME=VALUE", "Write it as nodes=4")
        if name in options:
            raise TemplateError(name, "is given twice", "Give it once; a list is written with commas")
        field = _field(name, model)
        options[name] = _value(name, _readings(text, field), field)
    return options


def checked(given: Mapping[str, Any], model: type[BaseModel], facility: Facility | None) -> dict[str, Any]:
    """Checks values one by one, and against the limits of the facility. Parameters may be missing.

    Raises:
        TemplateError: For the first that is not accepted.
    """
    values = {name: _value(name, iter([value]), _field(name, model)) for name, value in given.items()}
    problem = beyond_limits(facility, defaults(model) | values) if facility else None
    if problem is not None:
        raise problem
    return values


def _field(name: str, model: type[BaseModel]) -> FieldInfo:
    if name not in model.model_fields:
        close = difflib.get_close_matches(name, model.model_fields, n=1)
        guess = f"Did you mean {close[0]!r}? " if close else ""
        raise TemplateError(_shown(name), "is not a parameter", f"{guess}Known: {', '.join(model.model_fields)}")
    return model.model_fields[name]


def _readings(text: str, field: FieldInfo) -> Iterator[Any]:
    """What a word can mean, the likeliest first."""
    yield text
    with contextlib.suppress(ValueError):
        yield json.loads(text)
    if list in {get_origin(kind) for kind in (field.annotation, *get_args(field.annotation))}:
        yield text.split(",")


def _value(name: str, readings: Iterator[Any], field: FieldInfo) -> Any:
    """The first reading that the field accepts, as plain data."""
    adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation(), config=ConfigDict(strict=True))
    reading, problems = None, []
    for reading in readings:
        try:
            return adapter.dump_python(adapter.validate_python(reading), mode="json")
        except ValidationError as error:
            problems = error.errors(include_url=False)
    found = problems[0]
    kind = kind_of(adapter.json_schema())
    message = f"{found['msg'][:1].lower()}{found['msg'][1:]}" if "pattern" not in found["type"] else f"is no {kind}"
    raise TemplateError(name, f"{message}, got {_shown(reading)}", f"Allowed: {kind}. {field.description}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
