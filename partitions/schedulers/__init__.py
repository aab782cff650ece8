"""What each scheduler granted: one short, pure file for each of them. This one holds what they share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from partitions.allocation import Node
from partitions.hostlist import is_hostname, shown

MAX_CORES = 65_536


def required(environment: Mapping[str, str], scheduler: str, *names: str) -> tuple[str, str]:
    """Name and value of the first of these variables that is set.

    Raises:
        ValueError: If none is.
    """
    for name in names:
        if environment.get(name):
            return name, environment[name]
    raise ValueError(
        f"{names[0]}: is not set, but {scheduler} sets it in each of its jobs. Run inside a job and pass its "
        "environment on, or choose another --allocation"
    )


def job_id(environment: Mapping[str, str], scheduler: str, *names: str, pattern: str = "[0-9]+") -> str:
    """The job's id, of a form that can stand in a command line.

    Raises:
        ValueError: If there is none, or it is of another form.
    """
    name, value = required(environment, scheduler, *names)
    if not re.fullmatch(pattern, value):
        raise ValueError(f"{name}: {shown(value)} is not the id of a {scheduler} job. Leave it as {scheduler} set it")
    return value


def hostnames(where: str, names: Sequence[str]) -> list[str]:
    """The names, if each can be a host's.

    Raises:
        ValueError: If one cannot, or there is none.
    """
    if not names:
        raise ValueError(f"{where}: names no host. Run inside the job, and leave it as the scheduler set it")
    for name in names:
        if not is_hostname(name):
            raise ValueError(f"{where}: {shown(name)} is not a hostname. Leave it as the scheduler set it")
    return list(names)


def node(where: str, hostname: str, cores: int, accelerators: int = 0) -> Node:
    """A node with so many cores and accelerators, which go by their numbers.

    Args:
        where: What says how many cores there are.
        hostname: Its name.
        cores: How many cores of it the job has.
        accelerators: How many accelerators of it the job has.

    Raises:
        ValueError: If it has no core, or more than there are in any machine.
    """
    if not 1 <= cores <= MAX_CORES:
        raise ValueError(f"{where}: gives {hostname} {cores} cores, not 1 to {MAX_CORES}. Ask for cores on each node")
    return Node(hostname, tuple(range(cores)), tuple(map(str, range(accelerators))))
