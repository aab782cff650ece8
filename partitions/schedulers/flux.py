"""What Flux granted, from its variables and the resource set R of the job or instance (Flux RFC 20). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from partitions.allocation import Allocation, Node
from partitions.hostlist import expand, shown
from partitions.schedulers import hostnames, job_id, node

JOB_VARIABLES = ("FLUX_JOB_ID", "FLUX_ENCLOSING_ID", "FLUX_URI")
R = "flux R"
LAST_TIME = 253_402_300_799  # the end of the year 9999, in s since 1970

_JOB = r"[ƒ0-9A-Za-z][0-9A-Za-z.:/@%_-]*"


class _Children(BaseModel):
    core: str
    gpu: str = ""


class _Ranks(BaseModel):
    rank: str
    children: _Children


class _Execution(BaseModel):
    r_lite: list[_Ranks] = Field(alias="R_lite")
    nodelist: list[str]
    expiration: float = Field(default=0, ge=0, le=LAST_TIME)


class _Resources(BaseModel):
    version: Literal[1]
    execution: _Execution


def r_command(environment: Mapping[str, str]) -> list[str]:
    """What to ask Flux: the resource set of the job.

    A task of a job (``flux run``) has that job's. The script of ``flux batch`` and the shell of ``flux alloc`` have a
    Flux instance of their own, and their job is all that the instance has.

    Raises:
        ValueError: If this is no environment of a Flux job.
    """
    job = job_id(environment, "Flux", *JOB_VARIABLES, pattern=_JOB)
    return ["flux", "job", "info", job, "R"] if environment.get(JOB_VARIABLES[0]) else ["flux", "resource", "R"]


def flux_allocation(environment: Mapping[str, str], resources: str | None) -> Allocation:
    """The Allocation of a Flux job.

    Args:
        environment: Variables of the job. An instance that is not itself a job of Flux is named by its ``FLUX_URI``.
        resources: What `r_command` printed.

    Raises:
        ValueError: If it printed nothing, or no resource set.
    """
    job = job_id(environment, "Flux", *JOB_VARIABLES, pattern=_JOB)
    if resources is None:
        command = " ".join(r_command(environment))
        raise ValueError(f"{R}: {command!r} failed. Run inside the job, with flux (0.51 or later) in the search path")
    try:
        granted = _Resources.model_validate_json(resources).execution
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        raise ValueError(
            f"{R}: {shown(resources)} is not a resource set ({place}: {first['msg']}). See that flux is Flux's own"
        ) from None
    names = hostnames(R, [name for item in granted.nodelist for name in expand(item, f"{R}: nodelist")])
    children = {rank: entry.children for entry in granted.r_lite for rank in _ids("rank", entry.rank)}
    if len(children) != len(names):
        raise ValueError(f"{R}: has {len(children)} ranks, but {len(names)} hosts. Look at what flux prints")
    nodes = tuple(_node(name, children[rank]) for name, rank in zip(names, sorted(children), strict=True))
    deadline = datetime.fromtimestamp(granted.expiration, UTC) if granted.expiration else None
    return Allocation("flux", nodes, job, deadline)


def _node(name: str, children: _Children) -> Node:
    """A node with its cores; accelerators keep the ids that Flux gives, since it shows a job all of a node's."""
    found = node(f"{R}: core", name, len(_ids("core", children.core)))
    return replace(found, accelerators=tuple(map(str, _ids("gpu", children.gpu))) if children.gpu else ())


def _ids(what: str, text: str) -> list[int]:
    """The numbers of an idset such as ``0-3,7`` (Flux RFC 22)."""
    try:
        return [int(number) for number in expand(f"[{text}]")]
    except ValueError:
        raise ValueError(f"{R}: {what} {shown(text)} is not a list of numbers. Look at what flux prints") from None
