"""Whether PBS would take the job. Its queues are looked at; nothing is submitted, as PBS cannot be asked without."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from director.doctor.commands import NOT_ASKED, Answer, ask, missing
from director.doctor.findings import Finding, Topic
from director.doctor.job import JobRequest
from director.doctor.walltime import pbs_seconds, shown

COMMANDS = ("qsub", "qstat", "qdel")
TIMEOUT_S = 30.0
_SHOW = ("qstat", "-Q", "-f", "-F", "json")

_TOPIC = Topic("scheduler")


@dataclass(frozen=True)
class PbsQueue:
    """A queue of PBS, as far as it says who may do what there.

    Attributes:
        name: Its name.
        enabled: Whether it takes jobs.
        started: Whether it starts them.
        routes_to: The queues that it hands jobs on to; none: it runs them itself.
        routed_only: Whether it takes jobs from such queues only.
        min_nodes: How many nodes a job must have.
        max_nodes: How many it may have; None: no limit.
        max_walltime_s: How long it may take, in s; None: no limit.
        users: Whose jobs it takes; None: all.
    """

    name: str
    enabled: bool = True
    started: bool = True
    routes_to: tuple[str, ...] = ()
    routed_only: bool = False
    min_nodes: int = 0
    max_nodes: int | None = None
    max_walltime_s: int | None = None
    users: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PbsFacts:
    """What PBS told.

    Attributes:
        missing: Programs that are not there.
        user: Name of the user.
        show: Its queues, as ``qstat`` shows them.
    """

    missing: tuple[str, ...] = ()
    user: str = ""
    show: Answer = NOT_ASKED


def gather(environment: Mapping[str, str], user: str) -> PbsFacts:
    """Asks PBS for its queues.

    Args:
        environment: That of the endpoint.
        user: Name of the user.
    """
    absent = missing(COMMANDS, environment.get("PATH", ""))
    show = NOT_ASKED if "qstat" in absent else ask(_SHOW, environment=environment, timeout_s=TIMEOUT_S)
    return PbsFacts(tuple(absent), user, show)


def queues(text: str) -> dict[str, PbsQueue]:
    """Reads what ``qstat -Q -f -F json`` prints.

    Raises:
        ValueError: If it is not that.
    """
    document = json.loads(text)
    shown_queues = document.get("Queue", {}) if isinstance(document, dict) else None
    if not isinstance(shown_queues, dict):
        raise ValueError("qstat does not show queues as PBS does")
    return {name: _queue(name, fields) for name, fields in shown_queues.items()}


def _queue(name: str, fields: Mapping[str, Any]) -> PbsQueue:
    most, least = fields.get("resources_max", {}), fields.get("resources_min", {})
    walltime = most.get("walltime")
    routes = fields.get("route_destinations", "")
    return PbsQueue(
        name=name,
        enabled=_true(fields.get("enabled", "True")),
        started=_true(fields.get("started", "True")),
        routes_to=tuple(filter(None, (word.strip().partition("@")[0] for word in str(routes).split(",")))),
        routed_only=_true(fields.get("from_route_only", "False")),
        min_nodes=int(least.get("nodect", 0)),
        max_nodes=int(most["nodect"]) if "nodect" in most else None,
        max_walltime_s=None if walltime is None else pbs_seconds(str(walltime)),
        users=tuple(str(fields.get("acl_users", "")).split(",")) if _true(fields.get("acl_user_enable")) else None,
    )


def _true(value: object) -> bool:
    return str(value).lower() in ("true", "1")


def judge(job: JobRequest, facts: PbsFacts) -> list[Finding]:
    """Says whether PBS would take the job, as far as its queues tell."""
    findings = [_commands(facts)]
    if facts.show.code is None and "qstat" in facts.missing:
        return [*findings, _TOPIC.unchecked("queue", "PBS's programs are not there")]
    try:
        known = queues(facts.show.out) if facts.show.code == 0 else None
    except (ValueError, AttributeError, TypeError) as error:
        return [*findings, _TOPIC.unchecked("queue", f"what qstat prints cannot be read ({error})")]
    if known is None:
        hint = "If PBS's server is down, try again later; ask the facility if it stays so"
        return [*findings, _TOPIC.failed("queue", f"PBS cannot be asked: {facts.show.told}", hint)]
    findings += _in_queue(job, known, facts.user)
    named = "no account is named" if job.account is None else repr(job.account)
    findings.append(_TOPIC.unchecked("account", f"{named}: PBS does not say before a job is there whether it takes it"))
    return findings


def _commands(facts: PbsFacts) -> Finding:
    if facts.missing:
        found = f"{', '.join(facts.missing)} not in the search path"
        hint = "Load PBS's module in the shell that starts the endpoint, or set PATH in its user_environment.yaml"
        return _TOPIC.failed("commands", found, hint)
    return _TOPIC.ok("commands", ", ".join(COMMANDS))


def _in_queue(job: JobRequest, known: Mapping[str, PbsQueue], user: str) -> list[Finding]:
    if job.queue is None:
        return [_TOPIC.unchecked("queue", "none is named: PBS takes its default, whichever that is")]
    queue = known.get(job.queue)
    direct = [name for name, one in known.items() if one.enabled and not one.routed_only]
    if queue is None:
        return [_TOPIC.failed("queue", f"{job.queue!r} is not known to PBS", f"Take one of {', '.join(direct)}")]
    if not queue.enabled:
        hint = f"Wait until it is enabled, or take another one of {', '.join(direct)}"
        return [_TOPIC.failed("queue", f"{queue.name} takes no jobs now", hint)]
    if queue.routed_only:
        routes = [name for name, one in known.items() if queue.name in one.routes_to]
        hint = f"Take {' or '.join(routes) or 'one of ' + ', '.join(direct)}"
        return [_TOPIC.failed("queue", f"{queue.name} takes jobs only from a queue that hands them on", hint)]
    findings = [_started(queue), _limits(job, queue, known)]
    if queue.users is not None and not _listed(user, queue.users):
        hint = f"Take another one of {', '.join(direct)}, or ask the facility"
        findings.append(_TOPIC.failed("queue", f"{queue.name} takes no jobs of {user}", hint))
    return findings


def _listed(user: str, users: tuple[str, ...]) -> bool:
    """PBS takes the first entry that fits: ``name``, ``+name@host``, or with a minus for who is kept out."""
    for entry in users:
        name = entry.strip().lstrip("+-").partition("@")[0]
        if name in (user, "*", ""):
            return not entry.strip().startswith("-")
    return False


def _started(queue: PbsQueue) -> Finding:
    if not queue.started:
        hint = "Wait until the facility starts it, as after maintenance"
        return _TOPIC.warning("queue", f"{queue.name} takes jobs and does not start them now", hint)
    hands_on = f", which hands jobs on to {', '.join(queue.routes_to)}" if queue.routes_to else ""
    return _TOPIC.ok("queue", f"{queue.name}{hands_on}")


def _limits(job: JobRequest, queue: PbsQueue, known: Mapping[str, PbsQueue]) -> Finding:
    """A queue that hands jobs on takes those for which one of the others has room."""
    wrong = _beyond(job, queue)
    ends = [known[name] for name in queue.routes_to if name in known]
    if not wrong and ends and all(_beyond(job, end) for end in ends):
        wrong = "; ".join(f"{end.name}: {_beyond(job, end)}" for end in ends)
    if wrong:
        fitting = [one.name for one in known.values() if one.enabled and not one.routed_only and not _beyond(job, one)]
        other = f", or take another queue, such as {', '.join(fitting)}" if fitting else ""
        return _TOPIC.failed("limits", f"{queue.name}: asked are {wrong}", f"Change `nodes` or `walltime_s`{other}")
    return _TOPIC.ok("limits", f"{queue.name}: {job.nodes} nodes, {shown(job.walltime_s)}")


def _beyond(job: JobRequest, queue: PbsQueue) -> str:
    wrong = []
    if queue.max_nodes is not None and job.nodes > queue.max_nodes:
        wrong.append(f"{job.nodes} nodes, of which a job may have {queue.max_nodes}")
    if job.nodes < queue.min_nodes:
        wrong.append(f"{job.nodes} nodes, of which a job must have {queue.min_nodes}")
    if queue.max_walltime_s is not None and job.walltime_s > queue.max_walltime_s:
        wrong.append(f"{shown(job.walltime_s)}, where a job may take {shown(queue.max_walltime_s)}")
    return " and ".join(wrong)
