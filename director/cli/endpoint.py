"""``director endpoint``: templates of facilities, and endpoint folders that are written from them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import endpoint_templates
from director.cli import check
from director.cli.console import JsonOption, emit, endings
from director.door import Problem, Refused
from endpoint_templates import Facility, Parameter, SetBy, Template, TemplateError
from endpoint_templates.facilities import READ_ON
from endpoint_templates.limits import describe

app = typer.Typer(
    no_args_is_help=True, help="Set up a Globus Compute endpoint for Directors, from a template of your facility."
)

TemplateName = Annotated[str, typer.Argument(metavar="NAME", help="A template: see `director endpoint list`.")]
TemplateOrFolder = Annotated[
    str, typer.Argument(metavar="NAME", help="A template, the name of a configured endpoint, or its folder.")
]


@app.command(name="list")
def list_templates(as_json: JsonOption = False) -> None:
    """List the templates."""
    templates = [endpoint_templates.find(name) for name in endpoint_templates.names()]
    if as_json:
        emit([{"name": t.name, "title": t.title, "scheduler": t.scheduler} for t in templates])
        return
    table = _table("template", "scheduler", "for")
    for template in templates:
        table.add_row(template.name, template.scheduler, template.title)
    Console().print(table)


@app.command()
def show(name: TemplateOrFolder, as_json: JsonOption = False) -> None:
    """Show what can be set in a template, and what is known of its facility and since when."""
    with _refusals(as_json):
        template, given = _template(name)
        parameters = endpoint_templates.parameters_of(template, given)
        if as_json:
            emit(_document(template, parameters, given))
        else:
            console = Console()
            console.print(Text(f"{template.name}: {template.title} ({template.scheduler})", style="bold"))
            console.print(_parameter_table(parameters))
            if template.facility is not None:
                _print_facility(console, template.facility)


@app.command()
def configure(
    name: TemplateName,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A parameter. What a submitter may set as well becomes the default. Repeatable."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="The endpoint's folder. Default: ~/.globus_compute/NAME.")
    ] = None,
    endpoint_name: Annotated[
        str | None, typer.Option("--name", help="The endpoint's name. Default: that of --dir, or of the template.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files of a folder that is there.")] = False,
    local_services: Annotated[
        bool, typer.Option("--local-services", help="Use services of Globus Compute on this machine, as tests do.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write an endpoint's folder, ready for `globus-compute-endpoint start`."""
    with _refusals(as_json):
        template = endpoint_templates.find(name)
        given = endpoint_templates.options_from(option or [], template.parameters)
        where = (folder or _endpoints() / (endpoint_name or template.name)).expanduser().absolute()
        files = endpoint_templates.configure(
            template, where, given, display_name=endpoint_name, local_services=local_services, force=force
        )
        commands = _next_commands(template, where, given)
        if as_json:
            emit({"endpoint": where.name, "files": [str(file) for file in files], "next": commands})
            return
        for file in files:
            typer.echo(str(file))
        typer.echo("\nCheck and start it, here, and then submit from anywhere. It prints its UUID when it starts:\n")
        for command in commands:
            typer.echo(f"  {command}")


@app.command()
def render(
    name: TemplateOrFolder,
    option: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option, as it is submitted. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what the endpoint makes of a submission: the configuration of one job. Starts nothing."""
    with _refusals(as_json):
        found = _configured(name)
        template = endpoint_templates.find(found.template if found else name)
        options = endpoint_templates.options_from(option or [], template.parameters)
        if found is not None:
            text, schema = found.text, found.schema
        else:
            installed = {p.name for p in endpoint_templates.parameters_of(template) if p.set_by is SetBy.INSTALLER}
            given = {key: value for key, value in options.items() if key in installed}
            options = {key: value for key, value in options.items() if key not in installed}
            text, schema = template.text(given), template.schema(given)
        rendered = endpoint_templates.render(text, schema, options)
        emit({"template": template.name, "options": options, "configuration": rendered} if as_json else rendered)


app.command(name="check")(check.check)


@contextmanager
def _refusals(as_json: bool) -> Iterator[None]:
    """Ends as all commands do, with the words of the template."""
    with endings(as_json, refused="refused; nothing was written"):
        try:
            yield
        except TemplateError as error:
            raise Refused([Problem(error.where, error.message, error.hint)]) from None


def _endpoints() -> Path:
    """Where Globus Compute keeps its endpoints."""
    return Path(os.environ.get("GLOBUS_COMPUTE_USER_DIR") or Path.home() / ".globus_compute")


def _configured(name: str) -> endpoint_templates.Configured | None:
    """An endpoint folder. A template's name means the template; its folder is then named by its path."""
    if name in endpoint_templates.names():
        return None
    for folder in (Path(name), _endpoints() / name):
        if folder.is_dir():
            return endpoint_templates.read_folder(folder.absolute())
    hint = f"Templates: {', '.join(endpoint_templates.names())}. Endpoints are looked for in {_endpoints()}"
    raise TemplateError(name, "is neither a template nor the folder of an endpoint", hint)


def _template(name: str) -> tuple[Template, Mapping[str, Any]]:
    found = _configured(name)
    return (endpoint_templates.find(found.template), found.given) if found else (endpoint_templates.find(name), {})


def _next_commands(template: Template, folder: Path, given: Mapping[str, Any]) -> list[str]:
    elsewhere = [] if folder.parent == _endpoints() else ["--config-dir", str(folder.parent)]
    program = f"{given['environment']}/bin/globus-compute-endpoint"
    required = template.schema(given)["required"]
    asked = "".join(f" --set {name}={name.upper()}" for name in required)
    return [
        shlex.join(["director", "endpoint", "check", str(folder) if elsewhere else folder.name]),
        shlex.join([program, *elsewhere, "start", folder.name]),
        f"director submit BATCH.yaml --endpoint UUID{asked}",
    ]


def _document(template: Template, parameters: list[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    facility = template.facility
    return {
        "name": template.name,
        "title": template.title,
        "scheduler": template.scheduler,
        "parameters": [{**asdict(parameter), "set_by": parameter.set_by.value} for parameter in parameters],
        "schema": template.schema(given),
        "facility": {**asdict(facility), "read_on": READ_ON} if facility else None,
    }


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _parameter_table(parameters: list[Parameter]) -> Table:
    table = _table("parameter", "values", "default", "set by", "meaning")
    for parameter in parameters:
        table.add_row(
            Text(parameter.name, style="bold" if parameter.required else ""),
            Text(parameter.kind),
            Text("required" if parameter.required else _shown(parameter.default)),
            "whoever submits" if parameter.set_by is SetBy.SUBMITTER else "configure only",
            Text(parameter.meaning),
        )
    return table


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _print_facility(console: Console, facility: Facility) -> None:
    console.print()
    nodes = _table("nodes", "cores", "threads", "accelerators")
    for node in facility.nodes:
        accelerators = f"{len(node.accelerators)} × {node.accelerator}: {','.join(node.accelerators)}"
        nodes.add_row(node.name, str(node.cores), str(node.threads), accelerators if node.accelerators else "–")
    console.print(nodes)
    if facility.queues:
        console.print()
        queues = _table("queue", "nodes", "takes", "note")
        for queue in facility.queues:
            queues.add_row(queue.name, queue.node or "", describe(queue), queue.note)
        console.print(queues)
    console.print()
    facts = [("launcher", facility.launcher), ("interface", facility.interface or "not documented")]
    facts += [("environment", f"{name}={value}") for name, value in facility.variables]
    for name, value in facts:
        console.print(Text.assemble((f"{name}: ", "bold"), value), soft_wrap=True)
    console.print(Text(f"\nRead on {READ_ON}, from", style="bold"))
    for source in facility.sources:
        changed = f"page of {source.as_of}" if source.as_of else "page without a date"
        console.print(f"  {source.link} ({changed}): {source.states}", soft_wrap=True, highlight=False)
