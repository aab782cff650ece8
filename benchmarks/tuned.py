"""Whether `director tune` finds what a full sweep finds, in the time that it promises."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from benchmarks.md_speed import CASES, prepare
from benchmarks.table import Row, at_least, at_most
from director.tuning import Candidate, candidates
from director.tuning_crew import Work
from director.tuning_run import Place, race
from partitions.local import local_allocation
from partitions.surroundings import ThisProcess
from simulations.md import TOOL

SECONDS = 60.0
SWEEP_ROUNDS = 3
SWEEP_SECONDS = 90.0
PROMISED_S = 120.0


def tune(folder: Path) -> list[Row]:
    """The choice for about 1,000 atoms, against every number of workers and threads, sharing cores included."""
    around = ThisProcess()
    place = Place(local_allocation(1, around.cores).nodes, True, around.cores, dict(os.environ))
    case = CASES[1]
    prepare(folder, case)
    request = TOOL.request.model_validate(case.inputs(report_interval_steps=1000))
    assert TOOL.rehearsal is not None
    inputs = TOOL.rehearsal(request).model_dump(mode="json")
    work = Work("md", inputs, {"structure": folder / f"{case.name}.pdb"})
    begin = time.perf_counter()
    cores = len(around.cores)
    chosen = race(work, place, candidates(cores), seconds=SECONDS)
    took_s = time.perf_counter() - begin
    choice = chosen.choice
    assert choice is not None
    print(f"  {choice} after {took_s:.0f} s: {chosen.verdict}", flush=True)
    counts = [2**power for power in range(cores.bit_length()) if 2**power <= cores]
    everything = [Candidate(workers, threads) for workers, threads in itertools.product(counts[::-1], counts)]
    everything = list(dict.fromkeys([choice, *everything]))
    # Each as often as all others: the same race, in which nobody is left out.
    sweep = race(work, place, everything, seconds=SWEEP_SECONDS, most_rounds=SWEEP_ROUNDS, least_rounds=SWEEP_ROUNDS)
    found = {one.candidate: one for one in sweep.standings}
    for one in sweep.standings:
        print(f"  {one.candidate}: {one.relative or 0:.3f} of the first, {one.measured} ×", flush=True)
    best = max((one for one in found.values() if one.relative), key=lambda one: one.relative or 0.0)
    ratio = (found[choice].relative or 0.0) / (best.relative or 1.0)
    figures = [86_400 * (one.throughput or 0.0) for one in (found[choice], best)]
    return [
        at_least(f"director tune's choice, {choice}; the best of a full sweep, {best.candidate} (ns/day)",
                 f"{figures[0]:.1f}", f"{figures[1]:.1f}", ratio, 0.97),
        at_most("  how long it took; two minutes (s)", f"{took_s:.0f}", f"{PROMISED_S:.0f}", took_s / PROMISED_S, 1),
    ]  # fmt: skip
