"""How much a GPU does when several simulations share it. Where there is none, nothing is measured, and that is said."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from benchmarks.table import Row
from director.tuning import candidates
from director.tuning_crew import MeasureError, Work
from director.tuning_run import Place, race
from partitions import mps
from partitions.allocation import Node
from partitions.surroundings import ThisProcess
from simulations.md import TOOL

BOXES_NM = {1_000: 2.15, 10_000: 4.64, 100_000: 10.0}
"""Width of a box of water by its atoms, from the density of water."""
PACKED = (1, 2, 4, 8)
SECONDS = {1_000: 110.0, 10_000: 110.0, 100_000: 300.0}
ROUNDS = 2


def gpu(folder: Path) -> list[Row]:
    """Simulations of 1,000, 10,000 and 100,000 atoms packed on one GPU, with and without MPS, against one at a time."""
    around = ThisProcess()
    cards = (around.output_of(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or "").splitlines()
    if not cards:
        return [Row("simulations packed on a GPU: there is none here, and nothing was measured", "", "")]
    first = around.environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    node = Node(socket.gethostname(), around.cores, (first,))
    place = Place((node,), named=True, cores_here=around.cores, environment=dict(os.environ))
    installed = shutil.which(mps.PROGRAM) is not None
    entered = [one for one in candidates(len(around.cores), 1, mps=installed) if one.workers_per_node in PACKED]
    rows = []
    for atoms, width in BOXES_NM.items():
        inputs = {"water_box_nm": width, "solvent": "explicit", "steps": 1000, "platform": "CUDA"}
        assert TOOL.rehearsal is not None
        work = Work("md", TOOL.rehearsal(TOOL.request.model_validate(inputs)).model_dump(mode="json"))
        print(f"  {cards[0].strip()}, {atoms:,} atoms", flush=True)
        try:
            done = race(work, place, entered, seconds=SECONDS[atoms], most_rounds=ROUNDS, least_rounds=ROUNDS)
        except MeasureError as error:
            rows.append(Row(f"{cards[0].strip()}, {atoms:,} atoms: not measured ({error})", "", ""))
            continue
        found = {one.candidate: one for one in done.standings}
        alone = found[entered[0]].throughput
        for candidate in entered:
            one = found[candidate]
            if one.throughput is None or alone is None:
                rows.append(Row(f"{atoms:,} atoms, {candidate}: {one.failure or 'not measured'}", "", ""))
                continue
            ours, theirs = (f"{86_400 * figure:,.1f}" for figure in (one.throughput, alone))
            what = f"{cards[0].strip()}, {atoms:,} atoms, {candidate}; one at a time (ns/day together)"
            rows.append(Row(what, ours, theirs, one.throughput / alone))
    return rows
