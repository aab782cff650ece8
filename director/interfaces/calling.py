"""One call of a Tool, for whoever calls: checked at the door, submitted, waited for within a bound, and said in JSON.

Nothing is raised that an agent would have to catch: what was refused, failed or lost is said in the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from director.call import DirectorLost
from director.door import Problem, Refused
from director.fleet import Fleet
from director.staging import Ready
from simulations.records import Outcome, Request
from simulations.tool import AnyTool

WAIT_S = 300.0
MAX_TOKEN = 500


class ToolCaller:
    """Calls the Tools of a run.

    Args:
        fleet: The run's Directors; held open by the caller.
        base: Folder that paths start from and that all files must lie in: what an agent may read of this machine.
            None: the current folder.
        wait_s: How long a call waits for its Outcome, in s. What takes longer goes on, and can be asked for again.
    """

    def __init__(self, fleet: Fleet, *, base: Path | None = None, wait_s: float = WAIT_S) -> None:
        self._fleet = fleet
        self.base = (base or Path.cwd()).resolve()
        self._wait_s = wait_s

    @property
    def tools(self) -> Mapping[str, AnyTool]:
        """The Tools that can be called, by their names."""
        return self._fleet.tools

    async def call(self, tool: str, inputs: Mapping[str, Any], *, token: str | None = None) -> dict[str, Any]:
        """Calls a Tool once.

        Args:
            tool: Its name.
            inputs: Its inputs.
            token: A word of the caller's that names this call. The same Tool with the same inputs and the same token
                is the same call, however often it is made: it is run once.

        Returns:
            ``status``: that of the Outcome, or ``running`` if it is not there in time, ``refused`` or ``lost``; beside
            that, as far as there is such, ``id``, ``tool``, ``result``, ``error`` (``type``, ``message``, ``hint``),
            ``problems`` (of what was refused), ``artifacts`` (paths from ``run_folder``), ``run_folder`` and
            ``reused_from``.
        """
        try:
            ready = await self.ready(tool, inputs, token=token)
        except Refused as refusal:
            return refused(tool, refusal)
        return await self.run(ready, fixed=token is not None)

    async def ready(self, tool: str, inputs: Mapping[str, Any], *, token: str | None = None) -> Ready:
        """Checks a call at the door, and copies the files that it names.

        Raises:
            Refused: If it is not acceptable, or a file cannot be copied.
        """
        check_token(token)
        request = Request(tool=tool, inputs=dict(inputs))
        known = self.tools.get(tool)
        names_files = known is None or any(isinstance(inputs.get(field), str) for field in known.file_inputs)
        try:
            if names_files:
                ready = await asyncio.to_thread(self._fleet.prepared, request, base=self.base)
            else:
                ready = self._fleet.prepared(request, base=self.base)
        except OSError as error:
            raise Refused([Problem("inputs", f"a file cannot be copied ({error})", "See to the disk")]) from error
        except Refused as refusal:
            raise alone(refusal) from None
        return ready if token is None else ready.named(call_id(token, ready.key))

    async def run(self, ready: Ready, *, fixed: bool, ended: list[Outcome] | None = None) -> dict[str, Any]:
        """Makes a call that has passed the door.

        Args:
            ready: The call.
            fixed: Whether its id was made from a token, so that it is the same call whoever makes it.
            ended: Given the Outcome, if it is there in time.

        Returns:
            See `call`.
        """
        tool, name = ready.request.tool, ready.request.id
        try:
            task = self._fleet.calls.begin(name, partial(self._run, ready, fixed=fixed))
            done, _ = await asyncio.wait({task}, timeout=self._wait_s)
            if not done:
                again = "Call again with the same inputs and token" if fixed else "Its Outcome will be in `outcomes`"
                return {"status": "running", "id": name, "tool": tool, "hint": f"It goes on. {again}."}
            outcome = task.result()
        except Refused as refusal:
            return refused(tool, alone(refusal))
        except DirectorLost as error:
            return lost(error, id=name, tool=tool)
        if ended is not None:
            ended.append(outcome)
        return self._said(outcome)

    async def _run(self, ready: Ready, *, fixed: bool) -> Outcome:
        if not fixed:
            return await self._fleet.call(ready)
        # The same call must come to the same Director, whoever makes it, for only that one knows it again.
        return await self._fleet.call(ready, director=home(ready.request.id, len(self._fleet.links)))

    def _said(self, outcome: Outcome) -> dict[str, Any]:
        folder = self._fleet.folder
        document = outcome.model_dump(
            mode="json", include={"id", "tool", "status", "result", "error", "artifacts", "reused_from"}
        )
        document["run_folder"] = str(folder.path) if folder and outcome.artifacts else None
        return {name: value for name, value in document.items() if value not in (None, {})}


def call_id(token: str, key: str) -> str:
    """The id of the Request that a call makes, by the caller's token and the Request's key. Pure."""
    return hashlib.sha256(f"{len(token)}:{token}:{key}".encode()).hexdigest()[:32]


def home(name: str, directors: int) -> int:
    """Index of the Director that a Request with such an id belongs to. Pure."""
    return int(name, 16) % directors


def check_token(token: str | None) -> None:
    """Refuses a token that is no word.

    Raises:
        Refused: If it is empty or too long.
    """
    if token is not None and not 0 < len(token) <= MAX_TOKEN:
        message = f"has {len(token)} characters"
        raise Refused([Problem("token", message, f"Give one of 1 to {MAX_TOKEN} characters")])


def refused(tool: str, refusal: Refused) -> dict[str, Any]:
    """The answer to a call that was refused."""
    return {"status": "refused", "tool": tool, "problems": [asdict(problem) for problem in refusal.problems]}


def lost(error: Exception, **known: str) -> dict[str, Any]:
    """The answer to a call whose Director is gone."""
    return {"status": "lost", **known, "error": {"type": "DirectorLost", "message": str(error)}}


def alone(refusal: Refused) -> Refused:
    """What was wrong with a Request that is the only one, so that it needs no number. Pure."""
    return Refused(replace(problem, where=problem.where.removeprefix("requests[0].")) for problem in refusal.problems)
