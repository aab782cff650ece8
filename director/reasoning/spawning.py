"""The reasoners that a Director has launched on its machine. They end with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from director.door import Problem, problems_of
from director.spec import ExchangeSpec

if TYPE_CHECKING:
    from director.reasoning.agent_launch import AgentProcess

MOST = 64


class Spawned:
    """Launches reasoners, and knows how they end. Blocks; not for several threads at once.

    Args:
        director: Index of the Director.
        folder: The run folder.
        exchange: The run's exchange; None: nothing can be launched.
    """

    def __init__(self, director: int, folder: Path, exchange: ExchangeSpec | None) -> None:
        self._director = director
        self._folder = folder
        self._exchange = exchange
        self._processes: dict[str, tuple[str, AgentProcess]] = {}

    def spawn(self, work: Mapping[str, Any]) -> dict[str, Any]:
        """Launches a reasoner. Asking again for the same address is harmless.

        Args:
            work: An `AgentWork`, as JSON has it.

        Returns:
            ``pid``, or ``refused`` with the problems.
        """
        from director.reasoning.agent_launch import AgentProcess
        from director.reasoning.agent_spec import AgentSpec, AgentWork

        try:
            asked = AgentWork.model_validate(work)
        except ValidationError as error:
            return {"refused": [asdict(problem) for problem in problems_of(error, AgentWork)]}
        if self._exchange is None:
            return _refused("this Director launches no reasoners", "Let the client launch them")
        address, process = self._processes.get(asked.name, ("", None))
        if process is not None and address == str(asked.address):
            return {"pid": process.pid}
        at_work = [name for name, (_, one) in self._processes.items() if not one.ended.done()]
        if asked.name in at_work:
            return _refused(f"{asked.name} is at work already", "Wait for its end, or stop it")
        if len(at_work) >= MOST:
            return _refused(f"there are {MOST} reasoners at work here", "Launch the others by other Directors")
        spec = AgentSpec(
            work=asked,
            exchange=self._exchange,
            run_folder=str(self._folder),
            launched_by=f"director-{self._director}",
        )
        try:
            made = AgentProcess(spec)
        except OSError as error:
            return _refused(f"its process cannot be started ({error})", "See to the machine of the Directors")
        self._processes[asked.name] = (str(asked.address), made)
        return {"pid": made.pid}

    def all(self) -> dict[str, dict[str, Any]]:
        """For each reasoner, by its name: ``address``, ``pid``, and ``end`` (its summary; null while it is at work)."""
        return {
            name: {"address": address, "pid": one.pid, "end": one.ended.result() if one.ended.done() else None}
            for name, (address, one) in self._processes.items()
        }

    def stop(self, name: str) -> bool:
        """Asks a reasoner to end; what it has done is kept. Gives whether there is one of that name."""
        if name in self._processes:
            self._processes[name][1].let_go()
        return name in self._processes

    def close(self) -> None:
        """Asks all of them to end."""
        for name in self._processes:
            self.stop(name)


def _refused(message: str, hint: str) -> dict[str, Any]:
    return {"refused": [asdict(Problem("reasoner", message, hint))]}
