"""The reasoners' board as an Academy agent, and the same board as reasoners in other processes see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from academy.agent import Agent, action

from campaigns.reasoner.board import Claim, Glance, Shared
from campaigns.reasoner.state import ReasonerState
from director.call import Caller

PIECE = 40
"""How many Outcomes travel in one message: an exchange takes 512 KB at once."""


class BoardAgent(Agent):
    """Holds what reasoners share. Actions take and return JSON values only.

    Args:
        shared: The board.
    """

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._shared = shared
        self._states: dict[str, ReasonerState] = {}

    @action
    async def glance(self, reasoner: str) -> dict[str, Any]:
        """See `campaigns.reasoner.board.Board.glance`."""
        return asdict(self._shared.glance(reasoner))

    @action
    async def claim(self, reasoner: str, keys: list[str]) -> dict[str, Any]:
        """See `campaigns.reasoner.board.Board.claim`."""
        return {key: asdict(claim) for key, claim in self._shared.claim(reasoner, keys).items()}

    @action
    async def tell(self, state: dict[str, Any], known: int) -> int:
        """Takes what a reasoner has got to. Saying it twice is harmless.

        Args:
            state: Its state, with those of its Outcomes only that come after the first ``known``.
            known: How many Outcomes it takes for known here.

        Returns:
            How many of its Outcomes are known here; if fewer than ``known``, nothing was taken.
        """
        before = self._states.get(state["reasoner"])
        entries = [] if before is None else before["entries"]
        if len(entries) < known:
            return len(entries)
        whole = cast(ReasonerState, {**state, "entries": [*entries[:known], *state["entries"]]})
        self._states[state["reasoner"]] = whole
        self._shared.tell(whole)
        return len(whole["entries"])


class FarBoard:
    """The board for a reasoner in another process.

    Args:
        caller: Calls the `BoardAgent`.
    """

    def __init__(self, caller: Caller) -> None:
        self._call = caller.call
        self._known: dict[str, int] = {}

    async def glance(self, reasoner: str) -> Glance:
        """See `campaigns.reasoner.board.Board.glance`.

        Raises:
            DirectorLost: If whoever holds the board is gone.
        """
        return Glance(**await self._call("glance", reasoner))

    async def claim(self, reasoner: str, keys: Sequence[str]) -> Mapping[str, Claim]:
        """See `campaigns.reasoner.board.Board.claim`.

        Raises:
            DirectorLost: If whoever holds the board is gone.
        """
        return {key: Claim(**claim) for key, claim in (await self._call("claim", reasoner, list(keys))).items()}

    async def tell(self, state: ReasonerState) -> None:
        """See `campaigns.reasoner.board.Board.tell`. Only what is new of its Outcomes is sent, piece by piece.

        Raises:
            DirectorLost: If whoever holds the board is gone.
        """
        name, entries = state["reasoner"], state["entries"]
        known = self._known.get(name, 0)
        while True:
            piece = entries[known : known + PIECE]
            brief = {**state, "entries": piece, "talk": [], "conclusions": state["conclusions"][-1:], "critiques": []}
            known = self._known[name] = await self._call("tell", brief, known)
            if known >= len(entries):
                return
