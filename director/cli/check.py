"""``director endpoint check``: what is wrong with an endpoint, and what to do about it."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from director.cli.console import OK, SOME_NOT_OK, emit, endings
from director.door import Problem, Refused

COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "not checked": "dim"}


def check(
    name: Annotated[
        str | None, typer.Argument(help="A configured endpoint: its name, as in ~/.globus_compute/NAME, or its folder.")
    ] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="The endpoint's folder, if it is elsewhere.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="UUID", help="The endpoint's id, to ask Globus Compute about it.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the template, as given when submitting."),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(
            envvar="DIRECTOR_EXCHANGE",
            metavar="URL",
            help="The exchange that runs are to use: http(s)://HOST:PORT, redis://HOST:PORT or hosted.",
        ),
    ] = None,
    exchange_secret: Annotated[
        Path | None,
        typer.Option(
            "--exchange-secret",
            "--secret-file",
            envvar="DIRECTOR_EXCHANGE_SECRET_FILE",
            help="File with the exchange's secret (mode 0600).",
        ),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Send a tiny function through it all. It starts a job.")
    ] = False,
    wait_s: Annotated[float, typer.Option(min=1, help="How long to wait for the probe, in s.")] = 600.0,
    local_services: Annotated[
        bool,
        typer.Option(
            "--local-services",
            envvar="DIRECTOR_LOCAL_SERVICES",
            help="Globus Compute's services are on this machine (for tests of endpoints).",
        ),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Leave out what needs the service, as for embedded runs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")] = False,
) -> None:
    """Examine an endpoint: on the facility its folder, environment and scheduler, anywhere its service and exchange."""
    with endings(as_json):
        from director.doctor import Question, State, examine
        from director.exchange import choose
        from endpoint_templates import TemplateError

        where = _folder(name, folder)
        endpoint_id = _uuid(endpoint)
        _refuse_what_cannot_be(where, endpoint_id, probe=probe, offline=offline)
        question = Question(
            folder=where,
            options=tuple(options or ()),
            endpoint=endpoint_id,
            service_url=None if offline else _service_url(local_services=local_services),
            local_services=local_services,
            exchange=choose(exchange, exchange_secret, os.environ) if exchange else None,
            probe_wait_s=wait_s if probe else None,
            probe_options=_values(options or []),
        )
        try:
            examination = examine(question)
        except TemplateError as error:
            raise Refused([Problem(error.where, error.message, error.hint)]) from None
        findings = examination.findings
        if as_json:
            emit(
                {
                    "folder": str(where) if where else None,
                    "endpoint": str(endpoint_id) if endpoint_id else None,
                    "ok": not examination.failed,
                    "counts": {state.value: sum(one.state is state for one in findings) for state in State},
                    "findings": [asdict(one) for one in findings],
                }
            )
        else:
            console = Console(highlight=False)
            for line in _lines(findings):
                console.print(line, soft_wrap=True)
    raise typer.Exit(SOME_NOT_OK if examination.failed else OK)


def _lines(findings: Any) -> list[Text]:
    """One line for each finding, and one more for what to do."""
    lines = []
    for one in findings:
        state = Text(f"{one.state.value:<12}", style=COLOURS[one.state.value])
        lines.append(Text.assemble(state, (f"{one.topic}: {one.check}", "bold"), f"  {one.found}"))
        if one.hint:
            lines.append(Text(f"{'':<12}→ {one.hint}", style="cyan"))
    return lines


def _folder(name: str | None, folder: Path | None) -> Path | None:
    if folder is not None:
        return folder.expanduser().absolute()
    if name is None:
        return None
    if "/" in name:
        return Path(name).expanduser().absolute()
    from globus_compute_sdk.sdk.compute_dir import get_compute_dir

    return Path(get_compute_dir()).absolute() / name


def _uuid(text: str | None) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        hint = "Give the id that `globus-compute-endpoint list` shows, such as 4b116d3c-1703-4f8f-9f6f-39921e5864df"
        raise Refused([Problem("--endpoint", f"{text!r} is no id of an endpoint", hint)]) from None


def _refuse_what_cannot_be(folder: Path | None, endpoint: uuid.UUID | None, *, probe: bool, offline: bool) -> None:
    problems = []
    if folder is None and endpoint is None:
        hint = "On the facility, give the endpoint's name; elsewhere, its id: --endpoint UUID"
        problems.append(Problem("NAME", "there is nothing to examine", hint))
    if probe and endpoint is None:
        problems.append(Problem("--probe", "needs to know where to send it", "Give the endpoint's id: --endpoint UUID"))
    if offline and (probe or endpoint is not None):
        problems.append(Problem("--offline", "leaves the service out, which --endpoint and --probe ask", "Drop one"))
    if problems:
        raise Refused(problems)


def _service_url(*, local_services: bool) -> str:
    from globus_compute_sdk.sdk._environments import get_web_service_url

    return str(get_web_service_url("local" if local_services else None))


def _values(pairs: list[str]) -> dict[str, Any]:
    """Options as they are sent: what is JSON is what it says, all else is text. The endpoint's schema judges them."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise Refused([Problem("--set", f"{pair!r} is not NAME=VALUE", "Write it as --set nodes=4")])
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
