"""``director tune``: how many simulations at once, and with how many threads, are the fastest here."""

from __future__ import annotations

import os
import shutil
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from director.batch import Batch, read_batch
from director.cli.console import emit, endings, err_console
from director.cli.options import AllocationOption, NodesOption
from director.door import Problem, Refused
from director.durations import seconds_of
from director.plan import Plan, allocation_spec, plan, pool_spec
from director.runs import home
from director.tuning import Candidate, Race, candidates
from director.tuning_crew import MeasureError, Work
from director.tuning_record import Machine, Measured, Settings, System, Tuned
from director.tuning_run import Place, race
from director.tuning_store import TuningStore, files_of, machine_of, system_of
from director.worker import versions
from partitions import mps
from partitions.hostlist import first_label
from partitions.surroundings import ThisProcess
from simulations.records import Request
from simulations.tool import AnyTool, find_tools

SECONDS = "100s"
DAY_S = 86_400
SHOWN = 12
BUSY = 0.5
"""A load of the machine above this part of its cores is said, since it disturbs what is measured."""


def tune(
    batch: Annotated[Path, typer.Argument(help="A batch file. Its first Request that can be measured is.")],
    request: Annotated[
        int | None, typer.Option(min=0, help="Measure this Request instead; they are counted from 0, as they run.")
    ] = None,
    seconds: Annotated[
        str, typer.Option(help="How long it may take, with building what is measured: 90s, 5m.")
    ] = SECONDS,
    allocation: AllocationOption = "auto",
    nodes: NodesOption = None,
    keep: Annotated[bool, typer.Option(help="Write the choice down, for later runs to go by.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")] = False,
) -> None:
    """Measure how many simulations a node should run at once, and remember it for runs that do not say.

    It runs the batch's own simulation on this machine, pinned as workers are, and leaves nothing of it behind. In a
    batch job, do it on the lead node, before the run. Exit codes: 0 measured, 2 refused, 3 it could not be measured.
    """
    begin = time.monotonic()
    with endings(as_json, interrupted="interrupted; nothing was written down"):
        tools = find_tools()
        what = read_batch(batch, tools)
        chosen = _chosen(what, request, tools)
        tool = tools[chosen.tool]
        around = ThisProcess()
        laid = plan(
            directors=what.file.directors,
            allocation=allocation_spec(allocation, nodes or what.file.nodes, what.file.accelerators),
            shares=what.file.shares,
            hosts=what.file.hosts,
            pool=pool_spec({}, {}),
            surroundings=around,
        )
        place, machine = _place(laid, around)
        system = system_of(tool, chosen.inputs, what.base)
        assert tool.rehearsal is not None  # noqa: S101  (it was chosen for that)
        rehearsed = tool.rehearsal(tool.request.model_validate(chosen.inputs))
        work = Work(tool.name, rehearsed.model_dump(mode="json"), files_of(tool, chosen.inputs, what.base))
        node = place.nodes[0]
        can_share = shutil.which(mps.PROGRAM, path=around.environment.get("PATH")) is not None
        entered = candidates(max(1, len(node.cores)), len(node.accelerators), mps=can_share)
        say = _Told(tool, begin)
        say.line(f"{system}\n{machine}: {len(entered)} ways to share it out")
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > BUSY * cores:
            say.line(
                f"this machine is busy with something else (load {load:.1f} on {cores} cores): figures will be noisy"
            )
        left_s = seconds_of(seconds, "--seconds") - (time.monotonic() - begin)
        done = race(work, place, entered, seconds=left_s, told=say)
        tuned = _tuned(done, tool, system, machine, time.monotonic() - begin)
        store = TuningStore(home(os.environ))
        if keep:
            store.keep(tuned)
        if as_json:
            emit({**tuned.model_dump(mode="json"), "kept_in": str(store.path) if keep else None})
        else:
            Console().print(_table(tuned))
            say.line(f"best: {tuned.settings} ({tuned.verdict})")
            if keep:
                say.line(f"kept in {store.path}: runs of this go by it here, if nothing else is said")


def _chosen(what: Batch, index: int | None, tools: dict[str, AnyTool]) -> Request:
    """The Request that is measured, its inputs complete."""
    if index is not None and index >= len(what.requests):
        message = f"there is no Request {index}: the batch has {len(what.requests)}"
        raise Refused([Problem("--request", message, f"Give a number from 0 to {len(what.requests) - 1}")])
    looked = what.requests if index is None else [what.requests[index]]
    for one in looked:
        tool = tools.get(one.tool)  # those of tool files cannot be measured
        if tool and tool.rehearsal and tool.size and tool.amount and tool.checkpoints:
            known = {name: value for name, value in one.inputs.items() if value is not None}
            return one.model_copy(update={"inputs": known})
    names = sorted({one.tool for one in looked})
    can = sorted(name for name, tool in tools.items() if tool.rehearsal is not None)
    message = f"{', '.join(names)} cannot be measured: that takes a Tool with a `rehearsal`"
    raise Refused([Problem("requests", message, f"Of the installed Tools, {', '.join(can) or 'none'} can be")])


def _place(laid: Plan, around: ThisProcess) -> tuple[Place, Machine]:
    """The nodes of this machine.

    Raises:
        Refused: If this is not the job's lead node, or its nodes are not alike.
    """
    local = laid.allocation.scheduler == "local"
    lead = laid.allocation.lead
    if not local and first_label(socket.gethostname()) != first_label(lead.hostname):
        message = (
            f"this is {socket.gethostname()}, which is no node that a run would use first: that is {lead.hostname}"
        )
        raise Refused([Problem("nodes", message, "Do it there, in the job: at the beginning of its script")])
    try:
        machine = machine_of(laid.allocation, around)
    except ValueError as error:
        raise Refused([Problem("nodes", str(error), "Tune nodes of each kind in a job of their own")]) from None
    nodes = laid.allocation.nodes if local else (lead,)
    return Place(nodes, local, around.cores, around.environment), machine


class _Told:
    """Says what is measured, as it is."""

    def __init__(self, tool: AnyTool, begin: float) -> None:
        self._tool, self._begin = tool, begin
        self._console = err_console()

    def line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)

    def __call__(self, candidate: Candidate | None, what: float | str) -> None:
        if isinstance(what, float):
            value, unit = in_words(self._tool.unit, what)
            what = f"{value:,.4g} {unit}"
        about = what if candidate is None else f"{candidate}: {what}"
        self.line(f"{time.monotonic() - self._begin:5.0f} s  {about}")


def in_words(unit: str, per_s: float) -> tuple[float, str]:
    """A throughput as people say it."""
    return (per_s * DAY_S, "ns/day") if unit == "ns" else (per_s, f"{unit}/s")


def _tuned(done: Race, tool: AnyTool, system: System, machine: Machine, took_s: float) -> Tuned:
    standings = done.standings
    best = standings[0]
    if best.throughput is None:
        raise MeasureError("nothing could be measured")
    unit = in_words(tool.unit, 1.0)[1]
    return Tuned(
        machine=machine,
        system=system,
        settings=Settings(**best.candidate.settings),
        throughput=in_words(tool.unit, best.throughput)[0],
        unit=unit,
        verdict=done.verdict,
        measured=[
            Measured(
                settings=Settings(**one.candidate.settings),
                workers_per_node=one.candidate.workers_per_node,
                threads_per_worker=one.candidate.threads_per_worker,
                throughput=None if one.throughput is None else in_words(tool.unit, one.throughput)[0],
                relative=one.relative,
                times=one.measured,
                failure=one.failure,
            )
            for one in standings
        ],
        at=datetime.now(UTC),
        seconds=round(took_s, 1),
        versions=versions(tool.packages),
    )


def _table(tuned: Tuned) -> Table:
    shown = Table(title=str(tuned.system), title_justify="left", pad_edge=False)
    for name in ("per node", "threads", "per accelerator", tuned.unit, "relative", "measured"):
        if name != "per accelerator" or tuned.machine.accelerators:
            shown.add_column(name, justify="right")
    for one in tuned.measured[:SHOWN]:
        shared: list[Any] = []
        if tuned.machine.accelerators:
            many = (one.settings.workers_per_accelerator or 0) > 1
            with_mps = (" MPS" if one.settings.mps else " no MPS") if many else ""
            shared = [f"{one.settings.workers_per_accelerator}{with_mps}"]
        figure = one.failure or ("not measured" if one.throughput is None else f"{one.throughput:,.4g}")
        relative = "" if one.relative is None else f"{one.relative:.2f}"
        row = [str(one.workers_per_node), str(one.threads_per_worker), *shared, figure, relative, f"{one.times} ×"]
        shown.add_row(*row)
    return shown
