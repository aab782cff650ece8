"""Launching a Fleet: on nodes that are known here, or somewhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING

from director.door import Problem, Refused
from director.elsewhere import RunPlan
from director.exchange import ExchangeChoice, settle
from director.owned import Owned
from director.plan import Plan, director_specs
from director.spec import DirectorSpec, ExchangeSpec
from director.starting import start

if TYPE_CHECKING:
    from director.fleet import Fleet
    from director.launch import Site
    from director.runfolder import RunFolder

LAUNCH_TIMEOUT_S = 120.0


class LaunchError(RuntimeError):
    """A Director did not come up. The message says why."""


class Launching:
    """What `Fleet.launch` returns: ``await`` it, or use it with ``async with``."""

    def __init__(self, launch: Callable[[], Awaitable[Fleet]]) -> None:
        self._launch = launch
        self._fleet: Fleet | None = None

    def __await__(self) -> Generator[None, None, Fleet]:
        return self._launch().__await__()

    async def __aenter__(self) -> Fleet:
        self._fleet = await self
        return self._fleet

    async def __aexit__(self, *_: object) -> None:
        if self._fleet is not None:
            await self._fleet.close()


async def launch_here(what: Plan, folder: RunFolder, site: Site, *, memory_ledger: bool) -> Fleet:
    """Launches Directors on an Allocation that is known here.

    Args:
        what: The run.
        folder: Its folder, which is made.
        site: Where the Directors run.
        memory_ledger: Whether ledgers are kept in memory only.

    Raises:
        Refused: If the run folder is taken; nothing was started then.
        LaunchError: If a Director did not come up; all have been ended then.
    """
    from director.fleet import Fleet

    record = what.record()
    folder.create(record)

    def specs(exchange: ExchangeSpec) -> list[DirectorSpec]:
        return director_specs(record, str(folder.path), exchange, memory_ledger=memory_ledger)

    up = await start(specs, site, None)
    folder.write_exchange(up.spec)
    fleet = Fleet(record, up.client, folder=folder)
    fleet.own(Owned(up.directors, site, up.exchange))
    try:
        await fleet.ready(LAUNCH_TIMEOUT_S)
    except BaseException:
        await fleet.close()
        raise
    return fleet


async def launch_elsewhere(
    what: RunPlan, folder: RunFolder, site: Site, exchange: ExchangeChoice | None, *, wait_s: float
) -> Fleet:
    """Launches Directors that find their nodes themselves.

    Args:
        what: The run.
        folder: Its folder, which the Directors make; where they do not see it, users' files are staged in it.
        site: Where they run.
        exchange: The exchange; None: one on this machine's loopback.
        wait_s: How long to wait for their answers, in s.

    Raises:
        Refused: If the run folder is taken; nothing was started then.
        ExchangeError: If the exchange cannot be reached; nothing was started then.
        LaunchError: If a Director did not come up; all have been ended then.
    """
    from director.fleet import Fleet
    from director.remote import await_directors

    if folder.record_file.exists():
        message = f"{folder.path} already holds a run"
        raise Refused([Problem("run-dir", message, "Name another folder for this run")])
    own = exchange is None or exchange.kind == "loopback"
    if own and not site.shares_files:
        message = "that of this machine's loopback cannot be reached from a facility"
        raise Refused([Problem("exchange", message, "Name one: choose_exchange('hosted', None, os.environ)")])
    launches = dict.fromkeys(range(what.directors), 1)
    try:
        given = settle(exchange, what.run_id) if exchange is not None and not own else None
        up = await start(lambda spec: what.specs(spec, launches), site, given)
    except BaseException:
        await asyncio.to_thread(site.close)
        raise
    try:
        found = await await_directors(
            up.client, what.run_id, {index: (1, one) for index, one in enumerate(up.directors)}, wait_s=wait_s
        )
    except BaseException:
        for director in up.directors:
            director.kill()
        await up.client.close()
        await asyncio.to_thread(site.close)
        if up.exchange is not None:
            await asyncio.to_thread(up.exchange.close)
        raise
    about = found[0].about
    assert about is not None  # noqa: S101  (`await_directors` gives those that answered)
    if site.shares_files:
        fleet = Fleet(about.record, up.client, folder=folder)
        folder.write_exchange(up.spec)
    else:
        folder.inputs.mkdir(parents=True, exist_ok=True, mode=0o700)
        fleet = Fleet(about.record, up.client, folder=None, staging=folder)
    fleet.own(Owned(up.directors, site, up.exchange))
    return fleet
