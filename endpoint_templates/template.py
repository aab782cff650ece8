"""A template: which parameters it takes, and the text that the endpoint renders.

There are two stages. The first is ours, when an endpoint is configured: it puts together the parts of a template and
the installer's values, and has ``<% %>`` and ``<< >>`` for marks. What it leaves is complete in one file, and has
Jinja's usual marks: it is for the second stage, the endpoint's own, at each submission.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jinja2

from endpoint_templates import parameters
from endpoint_templates.errors import TemplateError
from endpoint_templates.facts import Facility, Scheduler
from endpoint_templates.fields import SetBy
from endpoint_templates.options import checked, defaults, set_by
from endpoint_templates.schema import json_schema
from endpoint_templates.worker_init import worker_init

NOTHING: Mapping[str, Any] = {}
ADDRESS_HINT = (
    "Give interface=… Network interface of this machine, whose address compute nodes can reach. "
    "`ip -brief address` lists them"
)


@dataclass(frozen=True)
class Template:
    """One way to get nodes.

    Attributes:
        name: As users choose it; also the name of its file.
        title: What it is for.
        scheduler: Who gives the nodes.
        parameters: What can be set.
    """

    name: str
    title: str
    scheduler: Scheduler
    parameters: type[parameters.Parameters]

    @property
    def facility(self) -> Facility | None:
        """The machine that it is for, if it is for one."""
        return self.parameters.facility

    def schema(self, given: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
        """The JSON schema (draft 2020-12) of what a submitter may set.

        Args:
            given: Parameters that the installer sets. For those that a submitter may set, they are defaults.

        Raises:
            TemplateError: If a value is not accepted.
        """
        values = checked(given, self.parameters, self.facility)
        return json_schema(self.parameters, values, title=f"Options for {self.title}", facility=self.facility)

    def text(self, given: Mapping[str, Any] = NOTHING) -> str:
        """The template as the endpoint renders it, complete in one file.

        Args:
            given: Parameters that the installer sets; among them those without a default that only an installer may
                set.

        Raises:
            TemplateError: If a value is missing or not accepted.
        """
        values = defaults(self.parameters) | checked(given, self.parameters, self.facility)
        self._require(values)
        submitted = [name for name, field in self.parameters.model_fields.items() if set_by(field) is SetBy.SUBMITTER]
        return (
            _environment()
            .get_template(f"{self.name}.yaml.j2")
            .render(
                template=self,
                written_by=_written_by(),
                options={name: _default(values, name) for name in submitted},
                words=[name for name in submitted if self._holds(name, str)],
                numbers=[name for name in submitted if self._holds(name, int)],
                lists=[name for name in submitted if self._holds(name, list)],
                fixed={name: value for name, value in values.items() if name not in submitted},
                worker_init=worker_init(values, self.facility.variables if self.facility else ()),
            )
        )

    def _require(self, values: Mapping[str, Any]) -> None:
        for name, field in self.parameters.model_fields.items():
            if set_by(field) is SetBy.INSTALLER and name not in values:
                hint = f"Give {name}=… {field.description}"
                raise TemplateError(name, "is required, and only who installs the endpoint can know it", hint)
        if "address" in self.parameters.model_fields and values["interface"] is values["address"] is None:
            raise TemplateError("interface", "is required where no `address` is given", ADDRESS_HINT)

    def _holds(self, name: str, kind: type) -> bool:
        described = self.parameters.model_json_schema()["properties"][name]
        types = {described.get("type"), *(inner.get("type") for inner in described.get("anyOf", []))}
        return {str: "string", int: "integer", list: "array"}[kind] in types


def _default(values: Mapping[str, Any], name: str) -> str | None:
    """What is taken for an option that is not given, as an expression of Jinja; None if it has to be given.

    The endpoint hands strings to templates as JSON. So do we, and they meet the same filters.
    """
    if name not in values:
        return None
    value = values[name]
    if isinstance(value, list):
        return "[" + ", ".join(literal(json.dumps(item)) for item in value) + "]"
    return literal("") if value is None else literal(json.dumps(value)) if isinstance(value, str) else str(value)


def literal(text: str) -> str:
    """A string literal of Jinja. Printable ASCII only, which is all that accepted values hold."""
    return json.dumps(text)


def _gpus_by_queue(facility: Facility) -> str:
    """A dictionary of Jinja: the GPUs of each node, by queue as the endpoint hands its name to the template."""
    counts = {queue.name: len(facility.node(queue.node).accelerators) for queue in facility.queues if queue.node}
    return "{" + ", ".join(f"{literal(json.dumps(name))}: {count}" for name, count in counts.items()) + "}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701  (this makes YAML and shell text, not HTML)
        loader=jinja2.PackageLoader("endpoint_templates", "templates"),
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["literal"] = literal
    environment.filters["gpus_by_queue"] = _gpus_by_queue
    return environment


def _written_by() -> str:
    try:
        return f"md-director {version('md-director')}"
    except PackageNotFoundError:
        return "md-director"


def _of(model: type[parameters.Parameters], scheduler: Scheduler, name: str = "", title: str = "") -> Template:
    facility = model.facility
    if facility is not None:
        name, title = facility.name, f"{facility.title}, {facility.organisation}"
    return Template(name, title, scheduler, model)


_TEMPLATES = {
    template.name: template
    for template in (
        _of(parameters.Aurora, "pbs"),
        _of(parameters.Polaris, "pbs"),
        _of(parameters.Perlmutter, "slurm"),
        _of(parameters.Frontier, "slurm"),
        _of(parameters.Delta, "slurm"),
        _of(parameters.Anvil, "slurm"),
        _of(parameters.Expanse, "slurm"),
        _of(parameters.Slurm, "slurm", "slurm", "any cluster with Slurm"),
        _of(parameters.Pbs, "pbs", "pbs", "any cluster with PBS Professional or OpenPBS"),
        _of(parameters.Local, "local", "local", "this machine, without a scheduler"),
    )
}


def names() -> tuple[str, ...]:
    """The names of all templates."""
    return tuple(_TEMPLATES)


def find(name: str) -> Template:
    """A template by its name.

    Raises:
        TemplateError: If there is none.
    """
    if name not in _TEMPLATES:
        raise TemplateError(name or "NAME", "is not a template", f"Templates: {', '.join(_TEMPLATES)}")
    return _TEMPLATES[name]
