"""One tuning, from a Request to a choice."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from director.tuning import MOST_ROUNDS, Candidate, Race
from director.tuning_crew import Crew, MeasureError, Work
from partitions.allocation import Node
from partitions.bindings import Owned, bind, resolve

PREPARE_SHARE = 0.6
"""Part of the time that building may take."""
WINDOW_LEAST_S = 1.5
WINDOW_MOST_S = 5.0
START_S = 3.0
"""What a measurement is expected to take beside its window, before one was made, in s."""
ROUNDS = 4
"""For how many rounds of all candidates the time is to last, if each of them is as quick to start as expected."""


@dataclass(frozen=True)
class Place:
    """The nodes that are measured: those of this machine.

    Attributes:
        nodes: They run at the same time, as in a run.
        named: Whether their cores and accelerators go by their own names already; see `partitions.bindings.resolve`.
        cores_here: Ids of the cores that this process may use.
        environment: That of this process.
    """

    nodes: tuple[Node, ...]
    named: bool
    cores_here: tuple[int, ...]
    environment: Mapping[str, str]

    def owned(self, candidate: Candidate) -> list[Owned]:
        """What each of a candidate's simulations owns, as workers of a run would."""
        found: list[Owned] = []
        for node in self.nodes:
            shared = candidate.workers_per_accelerator
            bindings = bind(
                node,
                workers=candidate.workers_per_node if shared is None else None,
                threads=candidate.threads_per_worker if shared is None else None,
                workers_per_accelerator=shared or 1,
            )
            found += self._resolved(node, bindings)
        return found

    def everything(self) -> Owned:
        """All of the first node's cores, and its first accelerator: for what is built once."""
        node = self.nodes[0]
        return self._resolved(node, bind(node, workers=1, threads=max(1, len(node.cores))))[0]

    def _resolved(self, node: Node, bindings: Sequence[object]) -> list[Owned]:
        return resolve(
            bindings,  # type: ignore[arg-type]
            granted=node,
            named=self.named,
            cores_here=self.cores_here,
            environment=self.environment,
        )


def window_s(left_s: float, candidates: int) -> float:
    """How long each measurement is to take, so that there are enough of them in the time that is left. Pure."""
    return min(WINDOW_MOST_S, max(WINDOW_LEAST_S, left_s / (ROUNDS * candidates) - START_S))


def race(
    work: Work,
    place: Place,
    entered: Sequence[Candidate],
    *,
    seconds: float,
    told: Callable[[Candidate | None, float | str], None] = lambda candidate, what: None,
    most_rounds: int = MOST_ROUNDS,
    least_rounds: int = 1,
) -> Race:
    """Measures candidates until it is clear which is the best, or the time is over.

    Args:
        work: What is run.
        place: Where.
        entered: The candidates.
        seconds: How long it may take, in s.
        told: Told of each measurement: the candidate and its throughput, or why it failed; and before, of None and
            what begins.
        most_rounds: See `director.tuning.Race`.
        least_rounds: See `director.tuning.Race`.

    Raises:
        MeasureError: If it cannot be built, or nothing can be measured.
    """
    until = time.monotonic() + seconds
    deciding = Race(entered, most_rounds, least_rounds)
    with tempfile.TemporaryDirectory(prefix="director-tune-") as folder:
        crew = Crew(work, Path(folder), place.environment)
        try:
            told(None, "building")
            crew.prepare(place.everything(), PREPARE_SHARE * seconds)
            window = window_s(until - time.monotonic(), len(entered))
            took_s = window + START_S
            while (candidate := deciding.next()) is not None:
                began = time.monotonic()
                if began + took_s > until and deciding.leader is not None:
                    break
                try:
                    figure = crew.measure(
                        place.owned(candidate),
                        window_s=window,
                        within_s=max(START_S, until - began - window),
                        shared_by_mps=bool(candidate.mps),
                    )
                except MeasureError as error:
                    deciding.fail(str(error))
                    told(candidate, str(error))
                else:
                    deciding.add(figure)
                    told(candidate, figure)
                    took_s = time.monotonic() - began
        finally:
            crew.close()
    if deciding.leader is None:
        reasons = {standing.failure for standing in deciding.standings if standing.failure}
        raise MeasureError("; ".join(sorted(reasons)) or "the time was over before anything was measured")
    return deciding
