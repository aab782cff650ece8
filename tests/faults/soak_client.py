"""The client of a soak, a process that may be killed at any time: ``python -m tests.faults.soak_client FILE``.

It hands over Requests, a few at a time, notes those that were acknowledged, and writes down each Outcome that it sees.
Started again it does all of that again: giving a Request twice runs it once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import IO, Any

from director.call import DirectorLost
from director.exchange import ExchangeError
from director.fleet import Fleet
from director.remote import reach
from director.spec import ExchangeSpec
from simulations.records import Request

GROUP = 5
PACE_S = 0.5
AGAIN_S = 0.3


class Client:
    """One life of the client.

    Args:
        orders: What it is to do.
    """

    def __init__(self, orders: dict[str, Any]) -> None:
        self._run_id = orders["run_id"]
        self._exchange = ExchangeSpec.model_validate(orders["exchange"])
        self._requests = [(index, Request.model_validate(request)) for index, request in orders["requests"]]
        folder = Path(orders["folder"])
        self._acks, self._out = folder / "acks", folder / f"out-{os.getpid()}.jsonl"
        self._handed = 0
        self._seen: set[str] = set()

    async def run(self) -> None:
        """Goes on until it has seen the Outcomes of all Requests."""
        while len(self._seen) < len(self._requests):
            try:
                async with await reach(self._run_id, self._exchange, directors=2) as fleet:
                    await self._hand_over(fleet)
                    await self._follow(fleet)
            except (DirectorLost, ExchangeError) as error:
                print(f"{error}; trying again", file=sys.stderr, flush=True)  # noqa: T201
            await asyncio.sleep(AGAIN_S)

    async def _hand_over(self, fleet: Fleet) -> None:
        while group := self._requests[self._handed : self._handed + GROUP]:
            await fleet.hand_over(group)
            with self._acks.open("a") as acks:
                _write(acks, "".join(f"{request.id}\n" for _, request in group))
            self._handed += len(group)
            await self._take(fleet)
            await asyncio.sleep(PACE_S)

    async def _follow(self, fleet: Fleet) -> None:
        async for outcome in fleet.outcomes(follow=True):
            self._note(outcome.id, outcome.model_dump_json())

    async def _take(self, fleet: Fleet) -> None:
        async for outcome in fleet.outcomes():
            self._note(outcome.id, outcome.model_dump_json())

    def _note(self, name: str, body: str) -> None:
        if name not in self._seen:
            with self._out.open("a") as out:
                _write(out, body + "\n")
            self._seen.add(name)


def _write(stream: IO[str], text: str) -> None:
    stream.write(text)
    stream.flush()
    os.fsync(stream.fileno())


if __name__ == "__main__":
    asyncio.run(Client(json.loads(Path(sys.argv[1]).read_text())).run())
