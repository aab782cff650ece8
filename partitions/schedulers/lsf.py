"""What LSF granted, from its variables. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from partitions.allocation import Allocation
from partitions.hostlist import shown
from partitions.schedulers import hostnames, job_id, node, required

JOB_VARIABLE = "LSB_JOBID"
HOSTS_VARIABLE = "LSB_MCPU_HOSTS"
HOST_FILE_VARIABLE = "LSB_DJOB_HOSTFILE"

_SLOTS = re.compile(r"[0-9]{1,9}")


def host_file(environment: Mapping[str, str]) -> str | None:
    """Where the host file is; None where it is not needed, since a variable says the same.

    Raises:
        ValueError: If there is neither, or this is no environment of an LSF job.
    """
    job_id(environment, "LSF", JOB_VARIABLE)
    name, value = required(environment, "LSF", HOSTS_VARIABLE, HOST_FILE_VARIABLE)
    return value if name == HOST_FILE_VARIABLE else None


def lsf_allocation(environment: Mapping[str, str], hostfile: str | None = None) -> Allocation:
    """The Allocation of an LSF job.

    A node has as many cores as the job has slots on it. Where jobs begin on a launch node, LSF lists it first, with one
    slot. It is the lead node then like any other; ``lead_workers: 0`` keeps workers away from it. Neither
    accelerators nor the end of the job stand in LSF's variables.

    Args:
        environment: Variables of the job.
        hostfile: Content of ``LSB_DJOB_HOSTFILE``, a host for each slot, which counts where ``LSB_MCPU_HOSTS`` is not
            set.

    Raises:
        ValueError: If a variable is missing or malformed.
    """
    job = job_id(environment, "LSF", JOB_VARIABLE)
    text = environment.get(HOSTS_VARIABLE)
    where = HOSTS_VARIABLE if text else HOST_FILE_VARIABLE
    slots = _slots(text) if text else Counter((hostfile or "").split())
    names = hostnames(where, list(slots))
    return Allocation("lsf", tuple(node(where, name, slots[name]) for name in names), job)


def _slots(text: str) -> Counter[str]:
    """Slots of each host, of ``h1 4 h2 4``."""
    words = text.split()
    slots: Counter[str] = Counter()
    for host, count in zip(words[::2], words[1::2], strict=False):
        if not _SLOTS.fullmatch(count):
            raise ValueError(f"{HOSTS_VARIABLE}: {shown(count)} is not a number of slots. Leave it as LSF set it")
        slots[host] += int(count)
    if len(words) % 2:
        raise ValueError(f"{HOSTS_VARIABLE}: {shown(text)} is not of the form h1 4 h2 4. Leave it as LSF set it")
    return slots
