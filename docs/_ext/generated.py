"""Reference pages from the code itself, so that they cannot go stale.

Each directive below asks a function for Markdown, which is read as if it stood on the page.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import os
import re
import subprocess
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields as fields_of
from datetime import datetime
from pathlib import Path
from typing import Any

import annotated_types
import typer
from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import endpoint_templates
from director.agent import DirectorAgent
from director.cli.app import app as cli
from endpoint_templates import Facility, SetBy
from endpoint_templates.facilities import READ_ON
from endpoint_templates.limits import describe
from simulations.records import Ending
from simulations.tool import find_tools


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    titles = list(header)
    lines = [
        titles,
        ["---"] * len(titles),
        *([cell.replace("|", "\\|").replace("\n", " ") for cell in r] for r in rows),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# ---- Tools


def tool_reference(name: str) -> str:
    """What a Tool takes and returns, with units, bounds and defaults, from its models."""
    tool = find_tools()[name]
    return "\n\n".join(
        [
            f"{tool.summary} Version {tool.version}.",
            "**Inputs.** " + _prose(tool.request),
            input_table(tool.request),
            "**Result.** " + _prose(tool.result),
            result_table(tool.result),
        ]
    )


def input_table(model: type[BaseModel]) -> str:
    """Fields of a request model."""
    rows = [
        (
            f"`{name}`",
            ", ".join(filter(None, (type_text(field.annotation), bounds_text(field)))),
            default_text(field),
            field.description or "",
        )
        for name, field in model.model_fields.items()
    ]
    return table(("input", "type and bounds", "default", "meaning"), rows)


def result_table(model: type[BaseModel]) -> str:
    """Fields of a result model; those of a model inside it stand below their field."""
    return table(("field", "type", "meaning"), _result_rows(model, ""))


def _result_rows(model: type[BaseModel], prefix: str) -> list[tuple[str, str, str]]:
    rows = []
    for name, field in model.model_fields.items():
        rows.append((f"`{prefix}{name}`", type_text(field.annotation), field.description or ""))
        for inner in _models(field.annotation):
            rows += _result_rows(inner, f"{prefix}{name}.")
    return rows


def _models(annotation: Any) -> list[type[BaseModel]]:
    parts = typing.get_args(annotation) or (annotation,)
    return [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]


def type_text(annotation: Any) -> str:
    """A type in the words of JSON."""
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{_yaml(value)}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(type_text(part) for part in typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object"
    if typing.get_origin(annotation) in (dict, Mapping):
        return "object"
    if typing.get_origin(annotation) in (list, tuple):
        return "list"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "text"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
    words[datetime] = "time"
    return words.get(annotation) or str(annotation)


def default_text(field: FieldInfo) -> str:
    """A field's default as it would be written in YAML."""
    if field.is_required():
        return "required"
    default = field.default
    if default is None or default is PydanticUndefined:
        return "null"
    return f"`{_yaml(list(default) if isinstance(default, tuple) else default)}`"


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def bounds_text(field: FieldInfo) -> str:
    """A field's bounds."""
    signs = ((annotated_types.Gt, "gt", ">"), (annotated_types.Ge, "ge", "≥"))
    ends = ((annotated_types.Lt, "lt", "<"), (annotated_types.Le, "le", "≤"))
    bounds = [f"{sign}\N{NO-BREAK SPACE}{_number(getattr(item, name))}" for kind, name, sign in signs + ends
              for item in field.metadata if isinstance(item, kind)]  # fmt: skip
    return ", ".join(bounds)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) and value < 10**10 else f"{value:g}"


def _prose(item: Any) -> str:
    return " ".join((inspect.getdoc(item) or "").replace("``", "`").split())


# ---- records


def input_reference(path: str) -> str:
    """Fields of a model that is part of a Tool's inputs, named ``module:Class``."""
    module, _, name = path.partition(":")
    return input_table(getattr(importlib.import_module(module), name))


def record_reference(path: str) -> str:
    """Fields of a record with what its docstring says of them.

    Args:
        path: ``module:Class``.

    Raises:
        KeyError: If the docstring leaves out a field.
    """
    module, _, name = path.partition(":")
    record = getattr(importlib.import_module(module), name)
    told = attributes_told(record)
    hints = typing.get_type_hints(record)
    fields = record.model_fields if issubclass(record, BaseModel) else {item.name: item for item in fields_of(record)}
    rows = [(f"`{field}`", type_text(hints[field]), _sentence(told[field])) for field in fields]
    return table(("field", "type", "meaning"), rows)


def attributes_told(record: type) -> dict[str, str]:
    """What a Google docstring says of each attribute."""
    section = (inspect.getdoc(record) or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := re.match(r"    (\w+): (.*)", line):
            name = match[1]
            found[name] = match[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {field: _plain(text) for field, text in found.items()}


def ending_reference() -> str:
    """How an attempt can end."""
    return table(("ended", "meaning"), [(f"`{ending.value}`", ENDINGS[ending]) for ending in Ending])


def _plain(text: str) -> str:
    """A docstring's text as Markdown, without references to the code."""
    text = re.sub(r"(?:;\s|,\s)?[Ss]ee `[^`]+`(?: for what it is)?\.?", "", text.replace("``", "\0"))
    text = re.sub(r"`(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("\0", "`").strip()
    return text if text.endswith(".") else f"{text}."


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


ENDINGS = {
    Ending.OK: "It has its result.",
    Ending.FAILED: "Its Tool failed.",
    Ending.TIMEOUT: "It reached its `timeout_s` or `deadline`.",
    Ending.CANCELLED: "It was cancelled.",
    Ending.PAUSED: "It was asked to stop for now, or its worker was ended for that; it goes on from its checkpoint.",
    Ending.AGAIN: "Its Tool failed with an error that it calls transient; it is tried again.",
    Ending.WORKER_LOST: "Its worker process died.",
    Ending.NODE_LOST: "Its node, launcher or worker pool was lost, or the interchange.",
    Ending.DIRECTOR_LOST: "Its Director ended, or was lost, while it ran.",
}


# ---- the command line


def command_names() -> list[str]:
    """The commands of ``director``, each followed by its own."""
    return list(_names(typer.main.get_command(cli)))


def _names(group: Any) -> Iterable[str]:
    for name, command in group.commands.items():
        yield name
        if hasattr(command, "commands"):
            yield from (f"{name} {inner}" for inner in _names(command))


def command_reference(name: str = "") -> str:
    """What ``director NAME --help`` prints."""
    program = Path(sys.executable).with_name("director")
    plain = {**os.environ, "TERMINAL_WIDTH": "88", "COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb"}
    plain.pop("FORCE_COLOR", None)
    command = [str(program), *name.split(), "--help"]
    answer = subprocess.run(command, env=plain, capture_output=True, text=True, check=True, timeout=60)
    lines = [line.rstrip() for line in answer.stdout.strip("\n").splitlines()]
    return "\n".join(["```text", *lines, "```"])


# ---- endpoint templates


def template_reference(name: str) -> str:
    """What can be set in a template, and what is known of its facility."""
    template = endpoint_templates.find(name)
    rows = [
        (
            f"`{parameter.name}`",
            parameter.kind,
            "required" if parameter.required else _given(parameter.default),
            "submits" if parameter.set_by is SetBy.SUBMITTER else "installs",
            parameter.meaning,
        )
        for parameter in endpoint_templates.parameters_of(template)
    ]
    known = _facility(template.facility) if template.facility else []
    options = table(("option", "values", "default", "set by who", "meaning"), rows)
    return "\n\n".join([f"{template.title[0].upper()}{template.title[1:]}.", options, *known])


def _given(value: Any) -> str:
    if value is None or value == []:
        return "–"
    return f"`{','.join(value) if isinstance(value, list) else _yaml(value)}`"


def _facility(facility: Facility) -> list[str]:
    nodes = [
        (
            node.name,
            str(node.cores),
            str(node.threads),
            f"{len(node.accelerators)} × {node.accelerator}: `{','.join(node.accelerators)}`"
            if node.accelerators
            else "–",
        )
        for node in facility.nodes
    ]
    parts = [
        f"**What is known**, read on {READ_ON}. Programs are started on nodes with `{facility.launcher}`.",
        table(("nodes", "cores", "threads", "accelerators"), nodes),
    ]
    if facility.queues:
        queues = [(f"`{queue.name}`", queue.node or "", describe(queue), queue.note) for queue in facility.queues]
        parts.append(table(("queue", "nodes", "takes", "note"), queues))
    if facility.variables:
        variables = ", ".join(f"`{name}={value}`" for name, value in facility.variables)
        parts.append(f"Set in the job: {variables}.")
    sources = [
        (f"<{source.link}>", source.as_of or "no date on the page", source.states) for source in facility.sources
    ]
    return [*parts, table(("page", "of", "says"), sources)]


# ---- the Director


def action_names() -> list[str]:
    """The Director's actions, in the order in which they are defined."""
    return [name for name, item in vars(DirectorAgent).items() if getattr(item, "_agent_method_type", "") == "action"]


def action_reference() -> str:
    """The Director's actions with their arguments and answers."""
    rows = []
    for name in action_names():
        method = getattr(DirectorAgent, name)
        about, _, rest = (inspect.getdoc(method) or "").partition("\n\n")
        returns = rest.partition("Returns:")[2].replace("``", "`")
        rows.append((f"`{name}({_arguments(method)})`", _flat(about.replace("``", "`")), _flat(returns)))
    return table(("action", "what it does", "answer"), rows)


def _arguments(method: Any) -> str:
    found = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        default = "" if parameter.default is inspect.Parameter.empty else f"={parameter.default!r}"
        found.append(parameter.name + default)
    return ", ".join(found)


def _flat(text: str) -> str:
    return " ".join(text.split())


# ---- Sphinx


def _directive(render: Callable[..., str]) -> type[SphinxDirective]:
    class Generated(SphinxDirective):
        optional_arguments = 1
        final_argument_whitespace = True

        def run(self) -> list[nodes.Node]:
            return self.parse_text_to_nodes(render(*self.arguments), allow_section_headings=False)

    return Generated


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directives."""
    app.add_directive("tool-reference", _directive(tool_reference))
    app.add_directive("command-reference", _directive(command_reference))
    app.add_directive("template-reference", _directive(template_reference))
    app.add_directive("input-reference", _directive(input_reference))
    app.add_directive("record-reference", _directive(record_reference))
    app.add_directive("ending-reference", _directive(ending_reference))
    app.add_directive("action-reference", _directive(action_reference))
    return {"parallel_read_safe": True}
