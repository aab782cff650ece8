"""How long a decision of a campaign takes, and how busy it keeps workers."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.table import Row, at_most, spread
from campaigns.campaign_file import CampaignFile
from campaigns.reading import read_campaign
from campaigns.runner import Runner, run_campaign
from director.campaigning import FleetEvaluate
from director.fleet import Fleet
from simulations.records import Outcome, Request, Status

ELEMENTS = ["Cu", "Ag", "Au", "Pd"]
MOST_ATOMS = 10  # of four elements: 1,000 compositions
KNOWN = 200
MEASURED = 40
DECISION_BAR_MS = 20.0

WORKERS = 8
TASK_S = 1.0
TASKS = 96
IDLE_BAR = 0.05

STRATEGIES: dict[str, dict[str, Any]] = {
    "random": {},
    "ucb": {"ucb_reward": "best_score"},
    "diversity": {},
}


def decide(place: Path) -> list[Row]:
    """Time from an Outcome to the next Request that it enables, with 1,000 compositions and 200 observations.

    All is in it that stands between the two: taking the Outcome into account, the record on disk, the decision of
    planner, generator, filters and scorer, the state on disk, and the candidate's file. Energies are those of EMT; they
    are computed outside of the time that is measured.
    """
    return [row for name in STRATEGIES for row in _decide(place / name, name)]


def _decide(place: Path, strategy: str) -> Iterator[Row]:
    evaluate = AtOnce(place / "inputs")
    run_campaign(_crystals(strategy), place, evaluate)
    (episode,) = read_campaign(place).episodes
    compositions = 1000
    times_ms = [1000 * seconds for seconds in evaluate.between_s[-MEASURED:]]
    deciding_ms = [1000 * decision.seconds for decision in episode.decisions[-MEASURED:]]
    assert len(episode.evaluations) == KNOWN + MEASURED
    p50 = statistics.median(times_ms)
    p95 = sorted(times_ms)[int(0.95 * len(times_ms))]
    what = f"Outcome to next Request, {strategy}, {compositions:,} compositions, ≥ {KNOWN} observations, ms"
    ours = f"p50 {p50:.1f}, p95 {p95:.1f}; the policy alone p50 {statistics.median(deciding_ms):.1f}"
    yield at_most(what, ours, f"{DECISION_BAR_MS:g}", p50 / DECISION_BAR_MS, 1.0)


def _crystals(strategy: str) -> CampaignFile:
    return CampaignFile.model_validate(
        {
            "name": f"decide-{strategy}",
            "mode": "asynchronous",
            "budget": {"evaluations": KNOWN + MEASURED},
            "stop": {"failures_in_a_row": None},
            "environment": {
                "_target_": "campaigns.crystals.CrystalEnvironment",
                "elements": ELEMENTS,
                "tool": "single_point",
                "calculator": "emt",
                "max_stoichiometry": MOST_ATOMS,
                "include_elements": True,
            },
            "policy": {
                "_target_": "campaigns.Workflow",
                "planner": {
                    "_target_": "campaigns.crystals.GridSearchPlanner",
                    "selection_strategy": strategy,
                    "selection_strategy_kwargs": STRATEGIES[strategy],
                },
                "generator": {"_target_": "campaigns.crystals.RandomGenerator"},
                "filter": [
                    {"_target_": "campaigns.crystals.MinDistanceFilter"},
                    {"_target_": "campaigns.crystals.UniquenessFilter"},
                ],
                "scorer": {"_target_": "campaigns.crystals.CompositionDiversity"},
            },
        }
    )


class AtOnce:
    """Evaluates a crystal with EMT when it is handed over, and keeps the time between an Outcome and the next Request.

    Args:
        folder: Where candidates' files are.

    Attributes:
        between_s: These times, in s.
    """

    def __init__(self, folder: Path) -> None:
        self.between_s: list[float] = []
        self._folder = folder
        self._queue: asyncio.Queue[Outcome] = asyncio.Queue()
        self._since_s: float | None = None

    async def submit(self, requests: Sequence[Request]) -> None:
        """Computes energies."""
        now_s = time.perf_counter()
        if self._since_s is not None and requests:
            self.between_s.append(now_s - self._since_s)
            self._since_s = None
        for request in requests:
            self._queue.put_nowait(outcome_of(request, emt(self._folder / request.inputs["structure"])))

    async def next(self) -> Outcome:
        """The next Outcome, of which the time begins."""
        outcome = await self._queue.get()
        self._since_s = time.perf_counter()
        return outcome

    async def close(self) -> None:
        """Does nothing."""


def emt(path: Path) -> dict[str, Any]:
    """What the Tool says of it that the environment looks at."""
    from ase.calculators.emt import EMT
    from ase.io import read

    atoms = read(path)
    atoms.calc = EMT()
    return {"energy_ev": float(atoms.get_potential_energy()), "converged": True}


def outcome_of(request: Request, result: Mapping[str, Any]) -> Outcome:
    now = datetime.now(UTC)
    return Outcome(
        id=request.id,
        key="0" * 64,
        tool=request.tool,
        tool_version="1",
        status=Status.OK,
        inputs=request.inputs,
        result=dict(result),
        director=0,
        partition=["here"],
        submitted_at=now,
        finished_at=now,
    )


def campaign(place: Path) -> list[Row]:
    """How long eight workers of a Director are idle in an asynchronous campaign, while candidates last."""
    place.mkdir(parents=True, exist_ok=True)
    outcomes = asyncio.run(_busy(place))
    idle = idle_share(outcomes)
    what = f"idle time of {WORKERS} workers, asynchronous campaign, tasks of {TASK_S:g} s, while candidates last"
    durations = [(one.finished_at - one.started_at).total_seconds() for one in outcomes if one.started_at]
    ours = f"{100 * idle:.1f} % ({len(outcomes)} tasks of {spread(durations)} s)"
    return [at_most(what, ours, f"{100 * IDLE_BAR:g} %", idle / IDLE_BAR, 1.0)]


async def _busy(place: Path) -> list[Outcome]:
    what = CampaignFile.model_validate(
        {
            "name": "busy",
            "mode": "asynchronous",
            "modules": ["tests.campaigns.toys"],
            "parallel": WORKERS,
            "prefetch": WORKERS,
            "budget": {"evaluations": TASKS},
            "environment": {"_target_": "tests.campaigns.toys.Line", "size": 10 * TASKS, "duration_s": TASK_S},
            "policy": {
                "_target_": "campaigns.Workflow",
                "planner": {"_target_": "tests.campaigns.toys.Everywhere"},
                "generator": {"_target_": "tests.campaigns.toys.Numbers"},
                "filter": {"_target_": "campaigns.stages.UniqueFilter"},
                "scorer": {"_target_": "tests.campaigns.toys.Near"},
            },
        }
    )
    async with Fleet.launch(1, run_dir=place / "run", workers_per_node=WORKERS) as fleet:
        evaluate = FleetEvaluate(fleet, place)
        await Runner(what, place / "campaign", evaluate).run()
        return [outcome async for outcome in fleet.outcomes()]


def idle_share(outcomes: Sequence[Outcome]) -> float:
    """Share of workers' time in which no task ran, from when all were busy first to the last start. Pure."""
    spans = sorted(
        (one.started_at.timestamp(), one.finished_at.timestamp()) for one in outcomes if one.started_at is not None
    )
    begin, end = spans[WORKERS - 1][0], spans[-1][0]
    busy = sum(max(0.0, min(last, end) - max(first, begin)) for first, last in spans)
    return max(0.0, 1 - busy / (WORKERS * (end - begin)))
