"""Running the atomistic Tools in a test: a workspace, a clock, and interruptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulations.atomistic import ASE_MD, RELAX, SINGLE_POINT
from simulations.errors import Paused
from simulations.workspace import Resources, Workspace

TOOLS = {tool.name: tool for tool in (ASE_MD, RELAX, SINGLE_POINT)}


class Ticking:
    """A clock that goes on by two seconds whenever it is looked at, so that each step is one to keep house after."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def workspace(folder: Path, epoch: int = 1, **more: Any) -> Workspace:
    """A Request's folder, as an attempt sees it."""
    return Workspace(folder / "work", folder, Resources("host", "host/0"), epoch=epoch, **more)


def run(tool: str, place: Workspace, **inputs: Any) -> Any:
    """Runs a Tool."""
    found = TOOLS[tool]
    return found.run(found.request(**inputs), place)


def run_paused(
    tool: str, folder: Path, steps_each: list[int], more: dict[str, Any] | None = None, **inputs: Any
) -> tuple[Any, Workspace]:
    """Runs a Tool in attempts that are asked to pause when they have done so many steps each, and one to the end."""
    for epoch, limit in enumerate([*steps_each, None], 1):
        place = workspace(folder, epoch, clock=Ticking(), **(more or {}))
        if limit is not None:
            _pause_after(place, limit)
        try:
            return run(tool, place, **inputs), place
        except Paused:
            assert limit is not None
    raise AssertionError("unreachable")


def _pause_after(place: Workspace, steps: int) -> None:
    progress, first = place.progress, []

    def watched(report: Any, amount: float | None = None) -> None:
        progress(report, amount)
        step = report()["step"]
        first.append(step)
        if step - first[0] >= steps:
            place.path(f"stop.{place.epoch}").write_text("pause")

    place.progress = watched  # type: ignore[method-assign]
