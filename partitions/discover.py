"""Finding the Allocation of this job: which scheduler's it is, and what that one granted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from partitions.allocation import Allocation
from partitions.hostlist import compress, expand, shown
from partitions.local import local_allocation
from partitions.schedulers import flux, lsf, pbs, slurm
from partitions.set_aside import ASIDE_VARIABLE, without
from partitions.surroundings import Surroundings

SCHEDULERS = ("local", "slurm", "pbs", "lsf", "flux")
TITLES = {"slurm": "Slurm", "pbs": "PBS", "lsf": "LSF", "flux": "Flux"}

# Each scheduler sets the first of its variables that applies in every process of a job.
_SIGNS = {
    "slurm": (slurm.JOB_VARIABLE,),
    "pbs": (pbs.JOB_VARIABLE,),
    "lsf": (lsf.JOB_VARIABLE,),
    "flux": flux.JOB_VARIABLES,
}
_ACCELERATOR = re.compile(r"[A-Za-z0-9._:/-]+")


def scheduler_of(environment: Mapping[str, str]) -> str:
    """Which scheduler's job an environment belongs to: one of `SCHEDULERS`, ``local`` if none's.

    Slurm sets its variables in the shell of ``salloc`` as well, which can be on a login node.

    Raises:
        ValueError: If it has variables of two schedulers.
    """
    seen = {
        kind: names[0]
        for kind, variables in _SIGNS.items()
        if (names := [name for name in variables if environment.get(name)])
    }
    if len(seen) > 1:
        raise ValueError(
            f"{' and '.join(seen.values())}: both are set, so this could be a job of "
            f"{' or of '.join(TITLES[kind] for kind in seen)}. Choose one: --allocation {' or '.join(seen)}"
        )
    return next(iter(seen), "local")


def discover(
    surroundings: Surroundings,
    kind: str = "auto",
    *,
    nodes: int | None = None,
    accelerators: Sequence[str] | None = None,
) -> Allocation:
    """The Allocation of the job that these surroundings are of.

    Args:
        surroundings: Where to look.
        kind: One of `SCHEDULERS`; ``auto``: whichever the environment says.
        nodes: How many logical nodes this machine is seen as, one by default; with a scheduler, how many nodes there
            must be.
        accelerators: Names of each node's accelerators, in place of what the scheduler says.

    Raises:
        ValueError: If there is no such Allocation here, or the scheduler's account of it is incomplete or
            contradictory.
    """
    if kind == "auto":
        kind = scheduler_of(surroundings.environment)
    if kind == "local":
        found = local_allocation(1 if nodes is None else nodes, surroundings.cores)
    elif kind in _GRANTED:
        found = _left(_GRANTED[kind](surroundings), surroundings.environment)
        _check_count(found, nodes)
    else:
        raise ValueError(f"allocation: {shown(kind)} is none of auto, {', '.join(SCHEDULERS)}")
    return found if accelerators is None else _with_accelerators(found, accelerators)


def _left(found: Allocation, environment: Mapping[str, str]) -> Allocation:
    """Without the nodes that are set aside already for services beside which this process was started."""
    aside = environment.get(ASIDE_VARIABLE)
    return without(found, frozenset(expand(aside, ASIDE_VARIABLE))) if aside else found


def _slurm(around: Surroundings) -> Allocation:
    command = slurm.scontrol_command(around.environment)
    return slurm.slurm_allocation(around.environment, around.output_of(command))


def _pbs(around: Surroundings) -> Allocation:
    command = pbs.qstat_command(around.environment)
    hosts = _read(around, pbs.NODE_FILE_VARIABLE, pbs.node_file(around.environment))
    return pbs.pbs_allocation(around.environment, hosts, around.output_of(command), around.cores)


def _lsf(around: Surroundings) -> Allocation:
    path = lsf.host_file(around.environment)
    hosts = None if path is None else _read(around, lsf.HOST_FILE_VARIABLE, path)
    return lsf.lsf_allocation(around.environment, hosts)


def _flux(around: Surroundings) -> Allocation:
    return flux.flux_allocation(around.environment, around.output_of(flux.r_command(around.environment)))


_GRANTED: dict[str, Callable[[Surroundings], Allocation]] = {
    "slurm": _slurm,
    "pbs": _pbs,
    "lsf": _lsf,
    "flux": _flux,
}


def _read(around: Surroundings, variable: str, path: str) -> str:
    try:
        return around.read(path)
    except OSError as error:
        raise ValueError(
            f"{variable}: {shown(path)} cannot be read ({error.strerror}). It lies on the job's first node: run there"
        ) from None


def _check_count(found: Allocation, nodes: int | None) -> None:
    count = len(found.nodes)
    if nodes is not None and nodes != count:
        granted = f"{count} node{'s' if count != 1 else ''} ({compress([node.hostname for node in found.nodes])})"
        raise ValueError(
            f"nodes: {nodes} were asked for, but {TITLES[found.scheduler]} job {found.job_id} has {granted}. "
            f"Leave nodes out, or ask the scheduler for {nodes}"
        )


def _with_accelerators(found: Allocation, names: Sequence[str]) -> Allocation:
    for name in names:
        if not _ACCELERATOR.fullmatch(name):
            raise ValueError(f"accelerators: {shown(name)} is not a name. Write them as 0,1,2,3 or 0.0,0.1")
    return replace(found, nodes=tuple(replace(node, accelerators=tuple(names)) for node in found.nodes))
