"""One call of a Tool, for whoever calls: checked at the door, submitted, waited for within a bound, and said in JSON.

Nothing is raised that an agent would have to catch: what was refused, failed or lost is said in the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
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
        self._base = (base or Path.cwd()).resolve()
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
            ready = await asyncio.to_thread(self._prepared, tool, inputs, token)
            task = self._fleet.calls.begin(ready.request.id, partial(self._run, ready, fixed=token is not None))
        except Refused as refusal:
            return _refused(tool, refusal)
        except OSError as error:
            return _refused(tool, Refused([Problem("inputs", f"a file cannot be copied ({error})", "See to the disk")]))
        done, _ = await asyncio.wait({task}, timeout=self._wait_s)
        name = ready.request.id
        if not done:
            again = "Call again with the same inputs and token" if token else "Its Outcome is in `director outcomes`"
            return {"status": "running", "id": name, "tool": tool, "hint": f"It goes on. {again}."}
        try:
            return self._said(task.result())
        except Refused as refusal:
            return _refused(tool, refusal)
        except DirectorLost as error:
            return {
                "status": "lost",
                "id": name,
                "tool": tool,
                "error": {"type": "DirectorLost", "message": str(error)},
            }

    def _prepared(self, tool: str, inputs: Mapping[str, Any], token: str | None) -> Ready:
        if token is not None and not 0 < len(token) <= MAX_TOKEN:
            message = f"has {len(token)} characters"
            raise Refused([Problem("token", message, f"Give one of 1 to {MAX_TOKEN} characters")])
        ready = self._fleet.prepared(Request(tool=tool, inputs=dict(inputs)), base=self._base)
        return ready if token is None else ready.named(call_id(token, ready.key))

    async def _run(self, ready: Ready, *, fixed: bool) -> Outcome:
        if not fixed:
            return await self._fleet.call(ready)
        # The same call must come to the same Director, whoever makes it, for only that one knows it again.
        index = int(ready.request.id, 16) % len(self._fleet.links)
        return await self._fleet.call(ready, director=index)

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


def _refused(tool: str, refusal: Refused) -> dict[str, Any]:
    return {"status": "refused", "tool": tool, "problems": [_shown(problem) for problem in refusal.problems]}


def _shown(problem: Problem) -> dict[str, str]:
    return {**asdict(problem), "where": problem.where.removeprefix("requests[0].")}
