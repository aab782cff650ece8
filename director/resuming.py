"""Planning a run that goes on: the same Directors and ledgers, perhaps on other nodes. Nothing is started here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from director.alive import living
from director.door import Problem, Refused
from director.left import Left, left_of
from director.plan import Plan, allocation_spec, plan, pool_spec
from director.runfolder import RunFolder
from director.spec import AllocationSpec, PoolSpec, SharesSpec
from director.staging import prepare
from director.toolbox import check_cores, tools_with
from partitions.discover import scheduler_of
from partitions.surroundings import Surroundings, ThisProcess
from simulations.tool import AnyTool

SHARES_HINT = (
    "Share them out otherwise: --shares 1,2 (weights) or --hosts PATTERN for each Director; or take other nodes"
)


class NothingOpen(Refused):
    """A run of which nothing is left to do.

    Args:
        folder: Its folder.
        left: What there is of it.
    """

    def __init__(self, folder: Path, left: Left) -> None:
        message = f"nothing of {folder} is open: all {left.ended.total()} requests have an Outcome"
        super().__init__([Problem("resume", message, f"See what was done: director outcomes {folder}")])
        self.left = left


@dataclass(frozen=True)
class Changes:
    """What is to be other than before.

    Attributes:
        allocation: Which nodes: ``auto``, or a kind of `AllocationSpec`.
        nodes: How many; None: all that a job has, or as many logical nodes as before.
        shares: Weights, one per Director; None: shared out as before.
        hosts: Patterns of hostnames, one per Director, instead of weights.
        pool: Fields of `PoolSpec`.
        idle: Whether the run goes on also if nothing of it is open: its client has more for it to do.
    """

    allocation: str = "auto"
    nodes: int | None = None
    shares: Sequence[float] | None = None
    hosts: Sequence[str] | None = None
    pool: Mapping[str, Any] = field(default_factory=dict)
    idle: bool = False


def plan_again(
    folder: RunFolder, changes: Changes, tools: Mapping[str, AnyTool], surroundings: Surroundings | None = None
) -> tuple[Left, Plan]:
    """Plans how a run goes on. Blocks.

    Args:
        folder: The run folder.
        changes: What is to be other than before.
        tools: The installed Tools.
        surroundings: The environment of the job; None: that of this process.

    Returns:
        What is left, and the plan with its new nodes.

    Raises:
        NothingOpen: If nothing of it is open.
        Refused: If there is no such run, it is alive, or the nodes cannot be shared so.
        RuntimeError: If a ledger cannot be read.
    """
    alive = living(folder, folder.read())
    if alive:
        message = f"{folder.path} is alive: {'; '.join(alive)}"
        hint = f"Watch it (director watch {folder.path}), or end it first (director close {folder.path})"
        raise Refused([Problem("resume", message, hint)])
    left = left_of(folder, idle=changes.idle)  # only now, since a Director may do much while it ends
    if not left.count and not changes.idle:
        raise NothingOpen(folder.path, left)
    own = tools_with(left.record.tools, tools)
    prepare(list(left.unknown), own, base=folder.path, confined=False, stage=None)
    around = surroundings or ThisProcess()
    record = left.record
    made = plan(
        directors=len(record.partitions),
        allocation=allocation_again(record.allocation, changes, around.environment),
        pool=pool_again(record.pool, changes.pool),
        services=[service.spec for service in record.services],
        surroundings=around,
        hint=SHARES_HINT,
        **_shares_again(record.shares, changes),
    )
    check_cores([own[definition.file.name] for definition in record.tools], made.partitions, made.pool)
    return left, made


def allocation_again(before: AllocationSpec, changes: Changes, environment: Mapping[str, str]) -> AllocationSpec:
    """Which Allocation is carved when a run goes on. Pure.

    Args:
        before: Which one was carved before.
        changes: What is to be other than before.
        environment: Of the job, if there is one.

    Raises:
        Refused: If the run was one of a batch job, there is none now, and the user has not said that this is meant.
    """
    kind: str = changes.allocation
    if kind == "auto":
        try:
            kind = scheduler_of(environment)
        except ValueError as error:
            raise Refused([Problem("allocation", str(error), "Choose with --allocation")]) from None
        if kind == "local" and before.kind not in ("auto", "local"):
            message = f"the run had nodes of a {before.kind} job, and this is in no job"
            hint = "Do this in a batch job; or take logical nodes of this machine: --allocation local"
            raise Refused([Problem("allocation", message, hint)])
    as_before = before.nodes if kind == before.kind == "local" else None
    return allocation_spec(kind, changes.nodes or as_before, before.accelerators)


def pool_again(before: PoolSpec, changes: Mapping[str, Any]) -> PoolSpec:
    """How workers are run when a run goes on.

    Raises:
        Refused: If a change is not acceptable.
    """
    return pool_spec({**before.model_dump(), **{name: value for name, value in changes.items() if value is not None}})


def _shares_again(before: SharesSpec, changes: Changes) -> dict[str, Any]:
    if changes.shares is not None or changes.hosts is not None:
        return {"shares": changes.shares, "hosts": changes.hosts}
    if before.kind == "hosts":
        return {"hosts": before.hosts}
    if before.kind == "size":
        return {"sizes": [int(size) for size in before.values]}
    return {"shares": before.values}
