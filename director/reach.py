"""Finding the Directors of a run on an exchange, by the run's name alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from academy.exchange.client import UserExchangeClient
from academy.exchange.mailbox_status import MailboxStatus
from academy.identifier import AgentId

from director.call import Caller, DirectorEnded, DirectorLost
from director.runfolder import RunRecord
from director.spec import agent_id_of

LAUNCHES_AT_ONCE = 4
FIRST_ASKED = 4
ANSWER_S = 8.0


@dataclass(frozen=True)
class About:
    """What a Director says of its run.

    Attributes:
        record: The run's record.
        run_folder: Path of the run folder, where the Directors are.
        host: Name of the lead node.
        tools: Version of each Tool there.
    """

    record: RunRecord
    run_folder: str
    host: str
    tools: dict[str, str]


@dataclass(frozen=True)
class Contact:
    """One Director of a run, as far as the exchange knows it.

    Attributes:
        index: Its index.
        launch: How often it has been launched; 0 if the exchange has never heard of it.
        about: What it says of its run, or None if it does not answer.
        reason: Why it does not.
        ended: Whether it is known to have ended.
    """

    index: int
    launch: int
    about: About | None = None
    reason: str = ""
    ended: bool = False


async def latest_launch(client: UserExchangeClient[Any], run_id: str, index: int) -> int:
    """Number of the latest launching of a Director that the exchange knows of; 0 if it knows of none."""
    begin = latest = 0
    while True:
        numbers = range(begin + 1, begin + 1 + LAUNCHES_AT_ONCE)
        ids = [AgentId[Any](uid=agent_id_of(run_id, index, number)) for number in numbers]
        found = await asyncio.gather(*map(client.status, ids))
        known = [number for number, status in zip(numbers, found, strict=True) if status != MailboxStatus.MISSING]
        latest = max(known, default=latest)
        begin += LAUNCHES_AT_ONCE
        if latest < begin:
            return latest


async def contact(
    client: UserExchangeClient[Any], run_id: str, index: int, *, launch: int | None = None, timeout_s: float = ANSWER_S
) -> Contact:
    """Asks one Director of its run.

    Args:
        client: The exchange.
        run_id: The run's name.
        index: The Director's index.
        launch: Which launching; None: the latest.
        timeout_s: How long to wait for an answer, in s.
    """
    number = launch or await latest_launch(client, run_id, index)
    if not number:
        return Contact(index, 0, reason=f"the exchange knows no Director {index} of run {run_id}")
    caller = Caller(index, AgentId(uid=agent_id_of(run_id, index, number)), client)
    try:
        answer = await caller.call("about", timeout_s=timeout_s)
    except DirectorLost as error:
        return Contact(index, number, reason=str(error), ended=isinstance(error, DirectorEnded))
    record = RunRecord.model_validate(answer["record"])
    return Contact(index, number, About(record, answer["run_folder"], answer["host"], answer["tools"]))


async def contacts(
    client: UserExchangeClient[Any], run_id: str, *, directors: int | None = None, timeout_s: float = ANSWER_S
) -> list[Contact]:
    """Asks all Directors of a run.

    Args:
        client: The exchange.
        run_id: The run's name.
        directors: How many there are; None: what those say that answer.
        timeout_s: How long to wait for an answer, in s.

    Returns:
        One per Director, in order. None answers, perhaps: then it is of those whose number was known.

    Raises:
        DirectorLost: If the exchange has never heard of the run.
    """

    async def ask(indices: Sequence[int]) -> list[Contact]:
        return list(await asyncio.gather(*(contact(client, run_id, index, timeout_s=timeout_s) for index in indices)))

    found = await ask(range(directors or FIRST_ASKED))
    if directors is None:
        found = [one for one in found if one.launch]
        told = [len(one.about.record.partitions) for one in found if one.about]
        found += await ask(range(FIRST_ASKED, max(told, default=0)))
    if not any(one.launch for one in found):
        raise DirectorLost(f"the exchange knows no run {run_id}")
    return found
