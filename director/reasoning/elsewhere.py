"""Reasoners whose Directors were launched by others: what they are told is kept here, beside their own steps."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from campaigns.evaluate import Evaluate
from simulations.records import Outcome, Request

OUTCOMES_FILE = "outcomes.jsonl"


class Keeping:
    """Writes down each Outcome before anybody is told of it, since the ledgers are not this client's.

    Args:
        evaluate: Who runs simulations.
        folder: Folder of the reasoners.
    """

    def __init__(self, evaluate: Evaluate, folder: Path) -> None:
        self._evaluate = evaluate
        self._file = folder / OUTCOMES_FILE

    async def submit(self, requests: Sequence[Request]) -> None:
        """See `campaigns.evaluate.Evaluate.submit`."""
        await self._evaluate.submit(requests)

    async def next(self) -> Outcome:
        """See `campaigns.evaluate.Evaluate.next`.

        Raises:
            OSError: If it cannot be written down.
        """
        outcome = await self._evaluate.next()
        await asyncio.to_thread(_add, self._file, outcome.model_dump_json().encode())
        return outcome

    async def close(self) -> None:
        """See `campaigns.evaluate.Evaluate.close`."""
        await self._evaluate.close()


def _add(path: Path, body: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        # It begins a line of its own, so that one that was cut off by a kill spoils no other.
        os.write(descriptor, b"\n" + body)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def kept_outcomes(folder: Path) -> Iterator[Outcome]:
    """The Outcomes that were written down; one that was cut off is left out, as it is told again. Blocks."""
    try:
        lines = (folder / OUTCOMES_FILE).read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            outcome = Outcome.model_validate_json(line)
        except ValueError:
            continue
        yield outcome
