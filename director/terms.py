"""What Directors are told beside what they own: when they must have ended, and what need not be run again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from director.door import Problem, Refused, problems_of
from director.spec import ReuseSpec, WalltimeSpec
from simulations.shell.definition import ToolDefinition

# What is kept in reserve at least, if the user does not say, in s.
LEAST_RESERVE_S = 10.0


@dataclass(frozen=True)
class Terms:
    """What Directors are told beside what they own.

    Attributes:
        walltime: When they must have ended.
        reuse: Whether Outcomes of equal Requests are used again, and where they are looked for.
        memory_ledger: Keep ledgers in memory only. Nothing survives then: for benchmarks.
        tools: The tool files of the run.
    """

    walltime: WalltimeSpec = field(default_factory=WalltimeSpec)
    reuse: ReuseSpec = field(default_factory=ReuseSpec)
    memory_ledger: bool = False
    tools: tuple[ToolDefinition, ...] = ()


def walltime_spec(walltime_s: float | None, reserve_s: float | None, now: datetime) -> WalltimeSpec:
    """When Directors must have ended.

    Args:
        walltime_s: In how many s from now; None: when their job does.
        reserve_s: How long before that all that runs is asked to save what it has done, in s; None: see `WalltimeSpec`.
        now: The time (UTC).

    Raises:
        Refused: If a number is not acceptable, or there is no time beside the reserve.
    """
    given: dict[str, Any] = {} if reserve_s is None else {"reserve_s": reserve_s}
    if walltime_s is not None:
        try:
            given["deadline"] = now + timedelta(seconds=walltime_s)
        except (OverflowError, ValueError):
            raise Refused([Problem("walltime", f"{walltime_s!r} s is no time", "Correct it")]) from None
    try:
        spec = WalltimeSpec.model_validate(given, strict=True)
    except ValidationError as error:
        raise Refused(problems_of(error, WalltimeSpec)) from None
    least_s = LEAST_RESERVE_S if spec.reserve_s is None else spec.reserve_s
    if walltime_s is not None and walltime_s <= least_s:
        message = f"{walltime_s:g} s leave no time beside the reserve of {least_s:g} s"
        raise Refused([Problem("walltime", message, "Give more time, or a smaller reserve")])
    return spec


def reuse_spec(enabled: bool, stores: Sequence[str | os.PathLike[str]], *, seen: bool) -> ReuseSpec:
    """Whether Outcomes of equal Requests are used again.

    Args:
        enabled: Whether they are.
        stores: Run folders in which they are looked for.
        seen: Whether these are on this machine's file systems. If not, their paths must say all.

    Raises:
        Refused: If one is no run folder with a ledger.
    """
    problems = []
    found = []
    for store in [os.fspath(item) for item in stores]:
        path = Path(store).expanduser()
        if not seen and not store.startswith(("/", "~")):
            problems.append(Problem("reuse-from", f"{store!r} is no whole path", "Write the path on the facility"))
        elif seen and not any(path.glob("director-*/ledger.sqlite")):
            message = f"{path} is no run folder with a ledger"
            problems.append(Problem("reuse-from", message, "Name the folder of a run, as given with --run-dir"))
        found.append(str(path.resolve()) if seen else store)
    if stores and not enabled:
        message = "is given, although nothing is to be used again"
        problems.append(Problem("reuse-from", message, "Leave it out, or leave out --no-reuse (reuse: false)"))
    if problems:
        raise Refused(problems)
    return ReuseSpec(enabled=enabled, stores=tuple(found))
