"""The parameters of a template, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from endpoint_templates.fields import SetBy
from endpoint_templates.kinds import kind_of
from endpoint_templates.options import defaults, set_by
from endpoint_templates.template import NOTHING, Template


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: Its name.
        kind: Type, and range or values.
        required: Whether it has to be given.
        default: What is taken if it is not given; None if nothing is.
        set_by: Who may set it.
        meaning: What it does.
    """

    name: str
    kind: str
    required: bool
    default: Any
    set_by: SetBy
    meaning: str


def parameters_of(template: Template, given: Mapping[str, Any] = NOTHING) -> list[Parameter]:
    """Describes all parameters, first those of a submitter.

    Args:
        template: Whose.
        given: What an installer has set.
    """
    model = template.parameters
    described = model.model_json_schema()["properties"]
    taken = defaults(model) | dict(given)
    found = [
        Parameter(
            name=name,
            kind=kind_of(described[name]),
            required=name not in taken,
            default=taken.get(name),
            set_by=set_by(field),
            meaning=field.description or "",
        )
        for name, field in model.model_fields.items()
    ]
    return sorted(found, key=lambda parameter: parameter.set_by is SetBy.INSTALLER)
