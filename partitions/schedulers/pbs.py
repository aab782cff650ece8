"""What PBS Pro or OpenPBS granted, from its variables, its node file and the output of ``qstat``. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from partitions.allocation import Allocation
from partitions.hostlist import compress, first_label, shown
from partitions.schedulers import hostnames, job_id, node, required

JOB_VARIABLE = "PBS_JOBID"
NODE_FILE_VARIABLE = "PBS_NODEFILE"
QSTAT = "qstat"

_JOB = r"[0-9]+(?:\[[0-9]*\])?(?:\.[A-Za-z0-9._-]+)?"
_CHUNKS = re.compile(r"\([^()]+\)(?:\+\([^()]+\))*")
_COUNT = re.compile(r"[0-9]{1,9}")
_WALLTIME = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,6}):([0-9]{1,2})")


def qstat_command(environment: Mapping[str, str]) -> list[str]:
    """What to ask PBS about the job: what it has on each node, and its times in UTC.

    Raises:
        ValueError: If this is no environment of a PBS job.
    """
    job = job_id(environment, "PBS", JOB_VARIABLE, pattern=_JOB)
    return ["env", "TZ=UTC", "qstat", "-f", "-F", "json", job]


def pbs_allocation(
    environment: Mapping[str, str], nodefile: str, qstat: str | None, cores_here: Sequence[int]
) -> Allocation:
    """The Allocation of a PBS job.

    Cores are what the site counts as ``ncpus``, accelerators what it counts as ``ngpus``; where it does not count
    accelerators, PBS does not know of them. The deadline is the job's start and its walltime. ``PBS_WALLTIME``, which
    some sites set, is a length and not an end, so it says nothing.

    Args:
        environment: Variables of the job.
        nodefile: Content of ``PBS_NODEFILE``: a host for each rank, so that a host can be there often. Where it is
            there first gives the order.
        qstat: What `qstat_command` printed (with ``-x`` it is the same), or None. Without it each node has as many
            cores as ``NCPUS`` says, or else as this process may use, and no accelerators; the deadline is not known.
        cores_here: Ids of the cores that this process may use.

    Raises:
        ValueError: If something is missing or malformed, or node file and ``qstat`` contradict one another.
    """
    job = job_id(environment, "PBS", JOB_VARIABLE, pattern=_JOB)
    names = hostnames(NODE_FILE_VARIABLE, list(dict.fromkeys(nodefile.split())))
    if qstat is None:
        where, cores = _cores_of_each(environment, cores_here)
        return Allocation("pbs", tuple(node(where, name, cores) for name in names), job)
    record = _record(qstat, job)
    found = _resources(record, names)
    nodes = tuple(node(f"{QSTAT}: exec_vnode", name, found[name]["ncpus"], found[name]["ngpus"]) for name in names)
    return Allocation("pbs", nodes, job, _deadline(record))


def node_file(environment: Mapping[str, str]) -> str:
    """Where the node file is.

    Raises:
        ValueError: If this is no environment of a PBS job.
    """
    return required(environment, "PBS", NODE_FILE_VARIABLE)[1]


def _cores_of_each(environment: Mapping[str, str], cores_here: Sequence[int]) -> tuple[str, int]:
    text = environment.get("NCPUS")
    if not text:
        return "affinity", len(cores_here)
    if not _COUNT.fullmatch(text):
        raise ValueError(f"NCPUS: {shown(text)} is not a number of cores. Leave it as PBS set it")
    return "NCPUS", int(text)


def _record(qstat: str, job: str) -> Mapping[str, Any]:
    jobs = _parsed(qstat).get("Jobs")
    if not isinstance(jobs, dict) or not jobs:
        raise ValueError(f"{QSTAT}: it does not know of job {job}: {shown(qstat)}. Run inside the job")
    number = job.partition(".")[0]  # ids can lack the server's domain
    record = jobs.get(job) or next((jobs[name] for name in jobs if name.partition(".")[0] == number), None)
    if not isinstance(record, dict):
        raise ValueError(f"{QSTAT}: it tells of {', '.join(jobs)} and not of job {job}. Run inside the job")
    return record


def _parsed(qstat: str) -> dict[str, Any]:
    """Until 2020 PBS did not escape the job's variables (openpbs issues 1255 and 2541). What is read stands before."""
    head, found, _ = qstat.partition('"Variable_List"')
    for text in (qstat, head.rstrip().rstrip(",") + "}}}" if found else ""):
        try:
            parsed = json.loads(text, strict=False)
        except ValueError:
            continue
        if isinstance(parsed, dict):
            return parsed
    raise ValueError(f"{QSTAT}: its output is not the JSON of PBS Pro or OpenPBS: {shown(qstat)}. Correct the PATH")


def _resources(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for host, resources in _chunks(record):
        found[_node_of(host, names)].update(resources)
    without = [name for name in names if name not in found]
    if without:
        raise ValueError(
            f"{QSTAT}: exec_vnode has nothing on {compress(without)}, which {NODE_FILE_VARIABLE} names. "
            "Leave the file as PBS wrote it"
        )
    return found


def _chunks(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, int]]]:
    """Host and resources of each vnode, such as ``(x1[0]:ncpus=32:ngpus=2+x1[1]:ncpus=32)+(x2:ncpus=64)``.

    ``exec_host`` (``x1/0*64+x2/0*64``) has the host of each chunk; without it vnodes are named after their hosts.
    """
    text = str(record.get("exec_vnode", ""))
    if not _CHUNKS.fullmatch(text):
        raise ValueError(f"{QSTAT}: exec_vnode {shown(text)} is not of the form (x1:ncpus=8)+(x2:ncpus=8)")
    chunks = text[1:-1].split(")+(")
    hosts = [entry.partition("/")[0] for entry in str(record.get("exec_host") or "").split("+") if entry]
    for index, chunk in enumerate(chunks):
        for vnode in chunk.split("+"):
            name, *resources = vnode.split(":")
            host = hosts[index] if len(hosts) == len(chunks) else name.partition("[")[0]
            yield host, dict(_resource(item, text) for item in resources if item.startswith(("ncpus=", "ngpus=")))


def _resource(item: str, text: str) -> tuple[str, int]:
    name, _, value = item.partition("=")
    if not _COUNT.fullmatch(value):
        raise ValueError(f"{QSTAT}: exec_vnode {shown(text)} has {shown(item)}, which is not a number")
    return name, int(value)


def _node_of(host: str, names: Sequence[str]) -> str:
    """The node of the node file that this is, in full or by its first label."""
    label = first_label(host)
    matches = [name for name in names if name == host] or [name for name in names if first_label(name) == label]
    if len(matches) != 1:
        what = f"could be {' or '.join(matches)}" if matches else f"is none of {compress(names)}"
        raise ValueError(f"{QSTAT}: {shown(host)} {what}, which {NODE_FILE_VARIABLE} names. Leave it as PBS set it")
    return matches[0]


def _deadline(record: Mapping[str, Any]) -> datetime | None:
    requested = record.get("Resource_List")
    walltime = requested.get("walltime") if isinstance(requested, dict) else None
    start = record.get("stime")
    if walltime is None or start is None:
        return None
    match = _WALLTIME.fullmatch(str(walltime))
    try:
        begun = datetime.strptime(str(start), "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{QSTAT}: stime {shown(str(start))} is not a time such as Fri Nov 21 04:00:00 2026") from None
    if match:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
    elif _COUNT.fullmatch(str(walltime)):
        hours, minutes, seconds = 0, 0, int(walltime)
    else:
        raise ValueError(f"{QSTAT}: walltime {shown(str(walltime))} is not a length such as 01:30:00")
    return begun + timedelta(hours=hours, minutes=minutes, seconds=seconds)
