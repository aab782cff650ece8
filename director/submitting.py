"""Submitting a batch, and resuming a run, from beginning to end."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from director.batch import Batch
from director.call import DirectorLost
from director.door import Problem, Refused
from director.elsewhere import plan_elsewhere
from director.exchange import ExchangeChoice, connect, settle
from director.fleet import Fleet, LaunchError
from director.reach import Contact, contacts
from director.remote import fleet_of
from director.runs import KnownExchange, RunStore, SubmittedRun, deal
from director.sites.globus import GlobusError, GlobusSite
from director.sites.login import open_client
from director.sites.state import endpoint_state, explained, situation, task_state
from director.situation import bounded
from director.spec import ExchangeSpec
from director.staging import prepare
from director.submission import Say, Submission
from director.terms import Terms, reuse_spec, walltime_spec
from director.toolbox import stage_tools, tools_with

SERVICE_S = 15.0
LEAVE_S = 3.0
QUEUED = {"received", "waiting-for-ep", "waiting-for-nodes", "waiting-for-launch"}

T = TypeVar("T")


async def submit_batch(
    what: Batch,
    *,
    name: str,
    endpoint_id: str,
    settings: Sequence[str],
    choice: ExchangeChoice,
    known: KnownExchange,
    store: RunStore,
    run_folder: str | None,
    linger_s: float,
    wait_s: float,
    local_services: bool,
    say: Say,
    reserve_s: float | None = None,
) -> dict[str, Any]:
    """Submits a batch.

    Args:
        what: The batch.
        name: What it is called.
        endpoint_id: Where it goes.
        settings: What the endpoint's template is given, as ``name=value``.
        choice: The exchange.
        known: What is remembered of it.
        store: Where the run is remembered.
        run_folder: Where the run folder is, there.
        linger_s: How long Directors stay when nothing is left to run, in s.
        wait_s: How long to wait for them, in s.
        local_services: Whether Globus Compute's services are this machine's own.
        say: Told how it goes.
        reserve_s: How long before the job's end all that runs is asked to save what it has done, in s.

    Returns:
        What is to be said of it: ``run_id``, ``endpoint_id``, ``run_folder``, ``host``, ``requests``, ``directors``.

    Raises:
        Refused: If something is not acceptable; nothing was submitted then.
        ExchangeError: If the exchange cannot be reached; nothing was submitted then.
        GlobusError: If Globus Compute cannot be reached.
        LaunchError: If the endpoint is offline, or the Directors do not come up. It says why.
    """
    file = what.file
    if file.nodes is None:
        raise Refused([Problem("nodes", "is not given", "Say how many nodes the job is to have: --nodes 4")])
    if what.services:
        message = "are started from the lead node of a job, and not by what is submitted through Globus Compute"
        hint = "Launch the run inside the batch job: director run, in its script"
        raise Refused([Problem("services", message, hint)])
    plan = plan_elsewhere(
        directors=file.directors,
        nodes=file.nodes,
        shares=file.shares,
        hosts=file.hosts,
        accelerators=file.accelerators,
        pool=file.pool,
        options={"workers_per_node": file.workers_per_node, "threads_per_worker": file.threads_per_worker},
        linger_s=linger_s,
        run_folder=run_folder,
        terms=Terms(
            walltime_spec(None, reserve_s, datetime.now(UTC)),
            reuse_spec(file.reuse, file.reuse_from, seen=False),
            tools=tuple(source.definition for source in what.tools),
        ),
    )
    exchange = settle(choice, plan.run_id)
    options = {**options_of(settings), "nodes": file.nodes, "directors": file.directors}
    service = await _asked(lambda: open_client(local_services=local_services))
    await _online(service, endpoint_id)
    folder = store.make(plan.run_id)
    try:
        stage_tools(what.tools, folder.inputs)
        ready = prepare(what.requests, tools_with(plan.tools), base=what.base, confined=True, stage=folder.stage)
        requests = [item.request for item in ready]
        client = await connect(exchange)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    run = SubmittedRun(
        plan=plan,
        name=name,
        endpoint_id=endpoint_id,
        options=options,
        local_services=local_services,
        exchange=known,
        requests=len(requests),
    )
    store.add(run, deal(requests, plan.weights))
    site = GlobusSite(endpoint_id, run.options_of(1), service)
    try:
        fleet = await Submission(run, 1, site, exchange, store).send(
            client, dict.fromkeys(range(plan.directors), 1), wait_s=wait_s, say=say
        )
        try:
            return await _document(fleet, run)
        finally:
            await fleet.close()
    finally:
        await _leave(site)


async def resume_run(
    run: SubmittedRun, exchange: ExchangeSpec, store: RunStore, *, wait_s: float, force: bool, say: Say
) -> dict[str, Any]:
    """Launches Directors again that do not answer, and gives all their Requests. Those that have had one know it again.

    Args:
        run: The run.
        exchange: Where its Directors answer.
        store: Where it is remembered.
        wait_s: How long to wait for Directors, in s.
        force: Whether to launch those again whose tasks are still queued.
        say: Told how it goes.

    Returns:
        What `submit_batch` returns.

    Raises:
        LaunchError: If the endpoint is offline, or the Directors do not come up, or are still queued.
        ExchangeError: If the exchange cannot be reached.
        GlobusError: If Globus Compute cannot be reached.
    """
    found = await _contacts(run, exchange)
    silent = [one for one in found if one.about is None]
    # Directors that are left share their job with those that are launched again; else there is a new one.
    job = run.job if len(silent) < len(found) else run.job + 1
    service = await _asked(lambda: open_client(local_services=run.local_services))
    site = GlobusSite(run.endpoint_id, run.options_of(job), service)
    try:
        queued = [] if force else await _asked(lambda: [one.index for one in silent if _queued(run, one, service)])
        if queued:
            which = ", ".join(map(str, queued))
            raise LaunchError(f"Director {which} is still queued. Wait for it, or launch it again with --force")
        requests = store.requests(run.run_id)
        if silent:
            await _online(service, run.endpoint_id)
            launches = {one.index: _next_launch(run, one) for one in silent}
            submission = Submission(run, job, site, exchange, store)
            fleet = await submission.send(await connect(exchange), launches, wait_s=wait_s, say=say)
            await fleet.close()
        client = await connect(exchange)
        everyone = await contacts(client, run.run_id, directors=run.plan.directors)
        fleet = fleet_of(client, run.run_id, everyone, store.folder(run.run_id))
        try:
            await fleet.hand_over(requests)
            return await _document(fleet, run)
        finally:
            await fleet.close()
    finally:
        await _leave(site)


def options_of(settings: Sequence[str]) -> dict[str, Any]:
    """Reads ``name=value`` words; a value that is JSON is what it says, any other is text.

    Raises:
        Refused: If a word has no name, or a name comes twice.
    """
    options: dict[str, Any] = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals or not name or name in options:
            what = "is given twice" if name in options else "is not NAME=VALUE"
            raise Refused([Problem("set", f"{word!r} {what}", "Write --set queue=debug")])
        if name in ("nodes", "directors"):
            raise Refused([Problem("set", f"{name} has an option of its own", f"Write --{name} {value}")])
        if name == "run_id":
            raise Refused([Problem("set", "run_id is given by `director submit` itself", "Leave it out")])
        try:
            found = json.loads(value)
            json.dumps(found, allow_nan=False)  # Python reads NaN and Infinity, which no JSON has
            options[name] = found
        except ValueError:
            options[name] = value
    return options


async def _online(service: Any, endpoint_id: str) -> None:
    """Makes sure that an endpoint takes tasks now: one that is offline would take them when nobody waits any more.

    Raises:
        GlobusError: If the service does not know it, or does not answer.
        LaunchError: If it is offline.
    """
    state = await _asked(lambda: endpoint_state(service, endpoint_id))
    if state != "online":
        raise LaunchError(f"nothing was submitted: {situation(state)}")


async def _asked(ask: Callable[[], T]) -> T:
    """What the service answers.

    Raises:
        GlobusError: If it refuses, or does not answer in time.
    """
    try:
        return await bounded(ask, SERVICE_S)
    except GlobusError:
        raise
    except TimeoutError:
        raise GlobusError(explained(f"Globus Compute does not answer within {SERVICE_S:g} s (TimeoutError)")) from None
    except Exception as error:  # the SDK raises what its libraries do: the service, the login, the network
        raise GlobusError(explained(str(error) or repr(error))) from error


async def _leave(site: GlobusSite) -> None:
    """Leaves a site. The SDK would wait for as long as it tries to send what the service does not take."""
    with contextlib.suppress(TimeoutError):
        await bounded(site.close, LEAVE_S)


async def _contacts(run: SubmittedRun, exchange: ExchangeSpec) -> list[Contact]:
    client = await connect(exchange)
    try:
        return await contacts(client, run.run_id, directors=run.plan.directors)
    except DirectorLost as error:
        return [Contact(index, 0, reason=str(error)) for index in range(run.plan.directors)]
    finally:
        await client.close()


def _next_launch(run: SubmittedRun, one: Contact) -> int:
    task = run.tasks.get(one.index)
    return max(one.launch, task.launch if task else 0) + 1


def _queued(run: SubmittedRun, one: Contact, client: Any) -> bool:
    task = run.tasks.get(one.index)
    if task is None or task.answered or one.ended:
        return False
    return task_state(client, task.task_id).status in QUEUED


async def _document(fleet: Fleet, run: SubmittedRun) -> dict[str, Any]:
    about: Mapping[str, Any] = await fleet.about()
    return {
        "run_id": run.run_id,
        "endpoint_id": run.endpoint_id,
        "run_folder": about["run_folder"],
        "host": about["host"],
        "requests": run.requests,
        "directors": [
            {"director": index, "partition": partition} for index, partition in enumerate(fleet.record.partitions)
        ],
    }
