"""``director partitions``: what a run would get and start here. It starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from director.batch import BatchFile, read_file
from director.carve_view import document, picture
from director.cli.console import emit, endings
from director.door import Problem, Refused
from director.plan import Plan, allocation_spec, plan, pool_spec
from director.service_partition.spec import read_services
from partitions.surroundings import ThisProcess

Listed = list[str] | None


def partitions(
    batch: Annotated[
        Path | None, typer.Argument(help="A batch file, whose directors, nodes, shares and pool are taken.")
    ] = None,
    directors: Annotated[int | None, typer.Option(min=1, help="How many Directors.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="How many nodes there must be, or logical nodes.")] = None,
    shares: Annotated[str | None, typer.Option(help="Weights, one per Director: 1,1,2.")] = None,
    sizes: Annotated[str | None, typer.Option(help="Numbers of nodes, one per Director: 1,1,2.")] = None,
    hosts: Annotated[Listed, typer.Option(help="A Director's hosts: 'node[1-3],gpu*'. Once for each Director.")] = None,
    allocation: Annotated[
        str, typer.Option(help="auto, local, slurm, pbs, lsf or flux; auto: what the environment says.")
    ] = "auto",
    environment: Annotated[
        Path | None,
        typer.Option(help="A file with the environment of a job, as `env` prints it, to look at from elsewhere."),
    ] = None,
    accelerators: Annotated[str | None, typer.Option(help="Accelerators of each node: 0,1,2,3 or 0.0,0.1.")] = None,
    workers_per_node: Annotated[int | None, typer.Option(min=1, help="Workers on each node.")] = None,
    workers_per_accelerator: Annotated[int | None, typer.Option(min=1, help="Workers on each accelerator.")] = None,
    threads_per_worker: Annotated[int | None, typer.Option(min=1, help="Threads of each worker.")] = None,
    lead_workers: Annotated[int | None, typer.Option(min=0, help="Workers on the lead node; 0: none.")] = None,
    nodes_per_block: Annotated[int | None, typer.Option(min=1, help="Nodes that one launch command starts.")] = None,
    launcher: Annotated[str | None, typer.Option(help="auto, srun, hydra, openmpi, pals or process.")] = None,
    launcher_program: Annotated[str | None, typer.Option(help="Name or path of the launcher's program.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")] = False,
) -> None:
    """Show the nodes of this job, how Directors would share them, and how workers would be started. Starts nothing."""
    with endings(as_json):
        file = read_file(batch) if batch else None
        weights, counts = _numbers("shares", shares, float), _numbers("sizes", sizes, int)
        options = {
            "workers_per_node": workers_per_node,
            "workers_per_accelerator": workers_per_accelerator,
            "threads_per_worker": threads_per_worker,
            "lead_workers": lead_workers,
            "nodes_per_block": nodes_per_block,
            "launcher": launcher,
            "launcher_program": launcher_program,
        }
        given = [values for values in (weights, counts, hosts) if values]
        what = _plan(
            file,
            batch.resolve().parent if batch else Path.cwd(),
            directors=directors or (len(given[0]) if given else None),
            nodes=nodes,
            shares=(weights, counts, hosts or None),
            accelerators=accelerators.split(",") if accelerators else None,
            allocation=allocation,
            surroundings=ThisProcess(_environment(environment)) if environment else ThisProcess(),
            elsewhere=environment is not None,
            options=options,
        )
        if as_json:
            emit(document(what))
        else:
            Console().print(picture(what))


def _plan(
    file: BatchFile | None,
    base: Path,
    *,
    directors: int | None,
    nodes: int | None,
    shares: tuple[list[float] | None, list[int] | None, list[str] | None],
    accelerators: list[str] | None,
    allocation: str,
    surroundings: ThisProcess,
    elsewhere: bool,
    options: dict[str, Any],
) -> Plan:
    """Options of the command line take the place of what the batch file says."""
    weights, sizes, hosts = shares
    services = read_services(file.services, base) if file is not None else ()
    pool: dict[str, Any] = {}
    if file is not None:
        directors, nodes = directors or file.directors, nodes or file.nodes
        accelerators = accelerators or file.accelerators
        if not any(shares):
            weights, hosts = file.shares, file.hosts
        own = {"workers_per_node": file.workers_per_node, "threads_per_worker": file.threads_per_worker}
        chosen = {name: value for name, value in options.items() if value is not None}
        options = {**own, **chosen}
        pool = {name: value for name, value in file.pool.items() if name not in chosen}
    return plan(
        directors=directors or 1,
        allocation=allocation_spec(allocation, nodes, accelerators),
        shares=weights,
        sizes=sizes,
        hosts=hosts,
        pool=pool_spec(options, pool),
        services=services,
        surroundings=surroundings,
        elsewhere=elsewhere,
    )


def _numbers(where: str, text: str | None, kind: type[Any]) -> list[Any] | None:
    if text is None:
        return None
    try:
        return [kind(word) for word in text.split(",")]
    except ValueError:
        raise Refused([Problem(where, f"{text!r} is not a list of numbers", "Write it as 1,1,2")]) from None


def _environment(path: Path) -> dict[str, str]:
    """Reads what ``env`` or ``env -0`` has printed."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        hint = "Write it inside the job: env > FILE"
        raise Refused([Problem("environment", f"{path} cannot be read ({error.strerror})", hint)]) from None
    entries = text.split("\0") if "\0" in text else text.splitlines()
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
