"""``director submit`` and ``director resume``: from a laptop to a Globus Compute endpoint."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from director.batch import Batch, read_batch
from director.cli.console import JsonOption, emit, endings, err_console, resume_command
from director.cli.options import (
    LocalServicesOption,
    NoReuseOption,
    ReserveOption,
    ReuseFromOption,
    SetOption,
    WaitOption,
)
from director.cli.target import ExchangeOption, RunArgument, SecretOption, choose_remote, find_target, known
from director.door import Problem, Refused
from director.durations import seconds_of
from simulations.tool import find_tools

INTERRUPTED = "interrupted; what was submitted goes on by itself. Look at it: director watch RUN"


def submit(
    batch: Annotated[Path, typer.Argument(help="What to run: a batch file in YAML or JSON.")],
    endpoint: Annotated[str, typer.Option(help="Id of the Globus Compute endpoint.")],
    nodes: Annotated[int | None, typer.Option(min=1, help="How many nodes the job has.")] = None,
    directors: Annotated[int | None, typer.Option(min=1, help="How many Directors share them.")] = None,
    settings: SetOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    run_folder: Annotated[
        str | None,
        typer.Option(help="Where the run folder is to be, on the facility. Default: what the endpoint says."),
    ] = None,
    linger_s: Annotated[
        float, typer.Option(min=0, help="How long Directors stay when nothing is left to run, in s.")
    ] = 300.0,
    reserve: ReserveOption = None,
    no_reuse: NoReuseOption = False,
    reuse_from: ReuseFromOption = None,
    wait_s: WaitOption = 3600.0,
    local_services: LocalServicesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Submit Directors to an endpoint, give them a batch, and leave as soon as they have it."""
    with endings(as_json, refused="refused; nothing was submitted", interrupted=INTERRUPTED):
        from director.submitting import submit_batch

        what = read_batch(batch, find_tools())
        choice = choose_remote(exchange, exchange_secret, os.environ)
        submitted = asyncio.run(
            submit_batch(
                _with(what, nodes, directors, reuse=not no_reuse, reuse_from=reuse_from or []),
                name=batch.name,
                endpoint_id=_uuid(endpoint),
                settings=settings or [],
                choice=choice,
                known=known(choice, exchange_secret),
                store=find_store(),
                run_folder=run_folder,
                linger_s=linger_s,
                wait_s=wait_s,
                local_services=local_services,
                say=_say,
                reserve_s=seconds_of(reserve, "--reserve") if reserve else None,
            )
        )
        _tell(submitted, as_json)


def resume(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    wait_s: WaitOption = 3600.0,
    force: Annotated[bool, typer.Option(help="Launch Directors again whose tasks are still queued.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Launch those Directors of a run again that have ended, and see to it that they have all of its Requests."""
    with endings(as_json, interrupted=INTERRUPTED):
        from director.submitting import resume_run

        target = find_target(run, exchange, exchange_secret)
        if target.folder is not None and target.folder.record_file.is_file():
            message = f"{target.folder.path} is a run folder, and its Directors are launched where its nodes are"
            hint = f"Do that in a job, or on this machine: {resume_command(run)}"
            raise Refused([Problem("RUN", message, hint)])
        found = target.remembered()
        resumed = asyncio.run(resume_run(found, target.spec, target.store, wait_s=wait_s, force=force, say=_say))
        _tell(resumed, as_json)


def find_store() -> Any:
    """Where runs are remembered."""
    from director.runs import RunStore, home

    return RunStore(home(os.environ))


def _with(
    what: Batch, nodes: int | None, directors: int | None, *, reuse: bool = True, reuse_from: Sequence[str] = ()
) -> Batch:
    """A batch with what the command line says instead of the file."""
    given: dict[str, Any] = {"nodes": nodes, "directors": directors}
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"reuse": what.file.reuse and reuse, "reuse_from": [*what.file.reuse_from, *reuse_from]}
    return replace(what, file=what.file.model_copy(update=changes))


def _uuid(text: str) -> str:
    import uuid

    try:
        return str(uuid.UUID(text))
    except ValueError:
        hint = "`globus-compute-endpoint list` on the facility shows it"
        raise Refused([Problem("endpoint", f"{text!r} is not the id of an endpoint", hint)]) from None


def _say(text: str) -> None:
    err_console().print(text, soft_wrap=True, markup=False)


def _tell(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(document)
        return
    for director in document["directors"]:
        _say(f"Director {director['director']}: {', '.join(director['partition'])}")
    _say(f"run folder: {document['host']}:{document['run_folder']}")
    _say(f"the run goes on without this machine. Look at it: director watch {document['run_id']}")
    emit(document["run_id"])
