"""What Slurm granted, from its variables and the output of ``scontrol``. Pure.

A job's GPUs are named "0" to "n-1" on each of its nodes, whichever ones they are: where Slurm confines jobs by cgroups,
those are the names by which the job itself sees them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from partitions.allocation import Allocation
from partitions.hostlist import expand, shown
from partitions.schedulers import hostnames, job_id, node, required

JOB_VARIABLE = "SLURM_JOB_ID"
SCONTROL = "scontrol show job"

_CPUS = re.compile(r"([0-9]{1,9})(?:\(x([0-9]{1,9})\))?")
_GPUS = re.compile(r"(?:[^:,()]+:)?([0-9]{1,4})")
_GPU_ENTRY = re.compile(r"gpu(?![^:(])")
_DETAIL = re.compile(r"\bNodes=(\S+) CPU_IDs=\S* Mem=\S* GRES=(\S*)")
_GRES_GPU = re.compile(r"gpu(?::[^:,()]+)?:([0-9]{1,4})(?:\(.*\))?")
_TIMES = re.compile(r"\bStartTime=\S+ EndTime=(\S+)")
_NO_END = ("Unknown", "UNLIMITED", "NONE", "None", "N/A")
_NO_TIME = 2**32 - 2  # NO_VAL of slurm.h, and above it INFINITE


def scontrol_command(environment: Mapping[str, str]) -> list[str]:
    """What to ask Slurm about the job: its times in UTC, and what it has on each node.

    Raises:
        ValueError: If this is no environment of a Slurm job.
    """
    job = job_id(environment, "Slurm", JOB_VARIABLE)
    return ["env", "TZ=UTC", "SLURM_TIME_FORMAT=standard", "scontrol", "show", "job", "-d", "-o", job]


def slurm_allocation(environment: Mapping[str, str], scontrol: str | None) -> Allocation:
    """The Allocation of a Slurm job.

    Cores are what Slurm counts as CPUs: hardware threads, where the site counts those. Of a heterogeneous job, it is
    the first component.

    Args:
        environment: Variables of the job, as ``sbatch``, ``salloc`` and ``srun`` set them. Note that ``salloc`` starts
            its shell where it was called, which need not be a node of the job.
        scontrol: What `scontrol_command` printed, or None. It alone says which node has how many GPUs; without it each
            has as many as the variables say of one. Nodes that it leaves out, having failed, are taken as without it.

    Raises:
        ValueError: If a variable is missing or malformed, or two contradict one another.
    """
    job = job_id(environment, "Slurm", JOB_VARIABLE)
    where, expression = required(environment, "Slurm", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
    names = hostnames(where, expand(expression, where))
    count = environment.get("SLURM_JOB_NUM_NODES", str(len(names)))
    if count != str(len(names)):
        raise ValueError(
            f"SLURM_JOB_NUM_NODES: {shown(count)} is not the number of nodes in {where}, which are {len(names)} "
            f"({shown(expression)}). Leave both as Slurm set them"
        )
    cpus = _cpus(environment, len(names))
    gpus = _gpus_by_node(scontrol or "")
    if not all(name in gpus for name in names):
        gpus = dict.fromkeys(names, _gpus_of_each(environment, len(names))) | gpus
    nodes = tuple(
        node("SLURM_JOB_CPUS_PER_NODE", name, cores, gpus[name]) for name, cores in zip(names, cpus, strict=True)
    )
    return Allocation("slurm", nodes, job, _deadline(environment.get("SLURM_JOB_END_TIME"), scontrol or ""))


def _cpus(environment: Mapping[str, str], nodes: int) -> list[int]:
    where, text = required(environment, "Slurm", "SLURM_JOB_CPUS_PER_NODE")
    items = [_CPUS.fullmatch(item) for item in text.split(",")]
    runs = [(int(item[1]), int(item[2] or 1)) for item in items if item]
    if len(runs) < len(items):
        raise ValueError(f"{where}: {shown(text)} is not of the form 4(x3),2. Leave it as Slurm set it")
    covered = sum(times for _, times in runs)
    if covered != nodes:
        raise ValueError(
            f"{where}: {shown(text)} is of {covered} nodes, but the job has {nodes}. Leave it as Slurm set it"
        )
    return [cores for cores, times in runs for _ in range(times)]


def _gpus_by_node(scontrol: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for hosts, gres in _DETAIL.findall(scontrol):
        entries = [entry for entry in re.split(r",(?![^(]*\))", gres) if _GPU_ENTRY.match(entry)]
        counts = [_GRES_GPU.fullmatch(entry) for entry in entries]
        if not all(counts):
            raise ValueError(f"{SCONTROL}: GRES={shown(gres)} does not say how many GPUs. Ask for --gpus-per-node")
        found |= dict.fromkeys(expand(hosts, SCONTROL), sum(int(count[1]) for count in counts if count))
    return found


def _gpus_of_each(environment: Mapping[str, str], nodes: int) -> int:
    """GPUs of a node, as far as the variables tell: of the request, or of the node where they were set."""
    if text := environment.get("SLURM_GPUS_PER_NODE"):
        return _gpus("SLURM_GPUS_PER_NODE", text)
    if ids := environment.get("SLURM_JOB_GPUS"):
        here = _ids("SLURM_JOB_GPUS", ids)
    else:
        on_node = environment.get("SLURM_GPUS_ON_NODE") or "0"
        here = int(on_node) if re.fullmatch(r"[0-9]{1,4}", on_node) else _ids("SLURM_GPUS_ON_NODE", on_node)
    total = environment.get("SLURM_GPUS")
    if total and _gpus("SLURM_GPUS", total) != here * nodes:
        raise ValueError(
            f"SLURM_GPUS: {shown(total)} GPUs on {nodes} nodes, of which this one has {here}: which node has how many "
            "is known to scontrol only, which did not tell. See that it can be run here, or ask for --gpus-per-node"
        )
    return here


def _gpus(where: str, text: str) -> int:
    items = [_GPUS.fullmatch(item) for item in text.split(",")]
    if not all(items):
        raise ValueError(
            f"{where}: {shown(text)} is not a number of GPUs such as 4 or a100:4. Leave it as Slurm set it"
        )
    return sum(int(item[1]) for item in items if item)


def _ids(where: str, text: str) -> int:
    try:
        return len(expand(f"[{text}]"))
    except ValueError:
        raise ValueError(
            f"{where}: {shown(text)} is not a list of GPUs such as 0,1. Leave it as Slurm set it"
        ) from None


def _deadline(end_time: str | None, scontrol: str) -> datetime | None:
    if end_time:
        if not re.fullmatch(r"[0-9]{1,10}", end_time):
            raise ValueError(f"SLURM_JOB_END_TIME: {shown(end_time)} is not a time in s since 1970")
        return datetime.fromtimestamp(int(end_time), UTC) if 0 < int(end_time) < _NO_TIME else None
    found = _TIMES.search(scontrol)
    if not found or found[1] in _NO_END:
        return None
    try:
        return datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{SCONTROL}: EndTime={shown(found[1])} is not a time such as 2026-11-21T05:23:53") from None
