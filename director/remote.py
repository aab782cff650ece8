"""Directors that are somewhere else: launching them, and finding them again by the run's name."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from academy.exchange.client import UserExchangeClient

from director.call import DirectorLost
from director.exchange import connect
from director.fleet import Fleet, LaunchError
from director.launch import Launched
from director.reach import Contact, contact, contacts
from director.runfolder import RunFolder
from director.spec import ExchangeSpec, agent_id_of

LOOK_S = 1.0
PATIENCE_S = 25.0


class StillWaitingError(LaunchError):
    """The Directors do not answer yet. Nothing is wrong with that: a queue may be long."""


async def await_directors(
    client: UserExchangeClient[Any],
    run_id: str,
    directors: Mapping[int, tuple[int, Launched]],
    *,
    wait_s: float,
    look: Callable[[], Awaitable[None]] | None = None,
) -> list[Contact]:
    """Waits until Directors that were launched answer.

    Args:
        client: The exchange.
        run_id: The run's name.
        directors: For each Director's index, how often it has been launched, and its launching.
        wait_s: How long to wait, in s.
        look: Called about once a second meanwhile.

    Raises:
        LaunchError: If one of them ended instead. It says why.
        StillWaitingError: If they do not answer in time.
    """
    begin = time.monotonic()
    found: dict[int, Contact] = {}
    while True:
        missing = {index: launch for index, (launch, _) in directors.items() if index not in found}
        for one in await asyncio.gather(
            *(contact(client, run_id, index, launch=launch, timeout_s=LOOK_S) for index, launch in missing.items())
        ):
            if one.about is not None:
                found[one.index] = one
        if len(found) == len(directors):
            return [found[index] for index in sorted(found)]
        for index in missing:
            ended = directors[index][1].ended
            # A task that was run twice has made one Director: its twin ends, and the one that lives will answer.
            if index not in found and ended.done() and not ended.result().get("held"):
                raise LaunchError(_why(index, ended.result()))
        if time.monotonic() - begin > wait_s:
            silent = ", ".join(str(index) for index in sorted(set(directors) - set(found)))
            raise StillWaitingError(f"no answer from Director {silent} within {wait_s:g} s")
        if look is not None:
            await look()


def _why(index: int, summary: Mapping[str, Any]) -> str:
    return str(summary.get("error") or f"Director {index} ended: {summary.get('reason')}")


async def reach(
    run_id: str,
    exchange: ExchangeSpec,
    *,
    directors: int | None = None,
    staging: RunFolder | None = None,
) -> Fleet:
    """Connects to the Directors of a run that was submitted, from any machine.

    Args:
        run_id: The run's name.
        exchange: Where they answer.
        directors: How many there are; None: as many as they say.
        staging: Where copies of users' files are kept here, if Requests are to be sent.

    Raises:
        ExchangeError: If the exchange cannot be reached.
        DirectorLost: If it does not know the run, or no Director answers.
    """
    client = await connect(exchange)
    try:
        return fleet_of(client, run_id, await contacts(client, run_id, directors=directors), staging)
    except BaseException:
        await client.close()
        raise


def fleet_of(
    client: UserExchangeClient[Any], run_id: str, found: Sequence[Contact], staging: RunFolder | None
) -> Fleet:
    """The Fleet of Directors of which at least one has answered. Those that have not count as lost.

    Raises:
        DirectorLost: If none has.
    """
    about = next((one.about for one in found if one.about), None)
    if about is None:
        reasons = "; ".join(dict.fromkeys(one.reason for one in found))
        raise DirectorLost(f"no Director of run {run_id} answers ({reasons})")
    by_index = {one.index: one for one in found}
    count = len(about.record.partitions)
    ids: list[uuid.UUID] = []
    for index in range(count):
        launch = by_index[index].launch if index in by_index else 0
        ids.append(agent_id_of(run_id, index, launch or 1))
    fleet = Fleet(about.record, client, folder=None, staging=staging, agent_ids=ids, patience_s=PATIENCE_S)
    for link in fleet.links:
        one = by_index.get(link.index)
        if one is None or one.about is None:
            link.mark_lost(one.reason if one else f"the exchange knows no Director {link.index} of run {run_id}")
    return fleet
