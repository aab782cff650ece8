"""The one thing that a campaign asks of whoever runs simulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from simulations.records import Outcome, Request


class Evaluate(Protocol):
    """Requests in, Outcomes out as they complete. Directors do this, and so does a local stand-in.

    A Request is known by its id. Handing one over again is harmless: it is not run twice, and its Outcome is given
    (again) by whoever was asked in the meantime or anew.
    """

    async def submit(self, requests: Sequence[Request]) -> None:
        """Hands Requests over. When this returns, they survive the end of this process.

        Raises:
            ValueError: If a Request is refused; it says what is wrong with it. None of them is run then.
        """
        ...

    async def next(self) -> Outcome:
        """Waits for the next Outcome of those that were handed over, and gives each of them once."""
        ...

    async def close(self) -> None:
        """Ends what was started for this. May be called twice."""
        ...
