"""What Directors do on several nodes: a real Slurm cluster in namespaces of this machine, raised for the purpose."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.table import Row, at_least, spread
from tests.cluster.cluster import Cluster, ClusterError, require
from tests.cluster.runs import AS_ROOT, batch, seconds, sleeps, submit
from tests.cluster.test_faults import kill_keeper, kill_launcher, kill_node, kill_slurmd, kill_workers, pull_the_cable

HERE = Path(__file__).parent.parent
ROUNDS = 3
NO_OPS = 4_000
SIZES = (4, 16, 64)
NOTICED_S = 10.0
LAUNCHERS = ("srun", "hydra", "openmpi")
FAULTS = (kill_node, pull_the_cable, kill_workers, kill_keeper, kill_launcher, kill_slurmd)


def possible(measure: Callable[[Path], list[Row]]) -> Callable[[Path], list[Row]]:
    """Says so, instead of measuring, where there can be no cluster."""

    def measured(folder: Path) -> list[Row]:
        try:
            require()
        except ClusterError as error:
            return [Row(f"{measure.__name__}: not measured, {error}", "", "")]
        return measure(folder)

    return measured


def _in_job(cluster: Cluster, folder: Path, *words: str, nodes: int = 4, launcher: str = "") -> dict[str, Any]:
    """Runs ``benchmarks.in_job`` in a job; ``NOW`` among the words becomes the time at which the job's script began."""
    folder.mkdir(parents=True)
    line = " ".join([sys.executable, "-m", "benchmarks.in_job", *words]).replace("NOW", "$(date +%s.%N)")
    job = cluster.sbatch(
        f"cd {HERE}; {line} > {folder}/answer.json", nodes=nodes, environment={**AS_ROOT, "BENCH_LAUNCHER": launcher}
    )
    job.wait(580)
    try:
        return dict(json.loads((folder / "answer.json").read_text()))
    except (OSError, json.JSONDecodeError) as error:
        raise RuntimeError(f"{line} failed: {job.output[-2000:]}") from error


@possible
def partitions(folder: Path) -> list[Row]:
    """No-ops over two Partitions at once, against two bare HTEXs by the same launcher; and first Outcomes by each."""
    with Cluster(folder / "c") as cluster:
        pairs = []
        for index in range(ROUNDS):
            mine = _in_job(cluster, folder / f"o{index}", "ours", str(folder / f"run{index}"), str(NO_OPS), "NOW")
            theirs = _in_job(cluster, folder / f"b{index}", "bare", str(folder / f"bare{index}"), str(NO_OPS), "NOW")
            pairs.append((mine, theirs))
        rates = [(mine["rate"], theirs["rate"]) for mine, theirs in pairs]
        ratio = statistics.median(mine / theirs for mine, theirs in rates)
        mine_rates, their_rates = zip(*rates, strict=True)
        rows = [
            at_least(
                f"{NO_OPS:,} no-ops, two Directors × two nodes, journaled; two bare HTEXs by srun (per s)",
                spread(mine_rates, 0), spread(their_rates, 0), ratio, 0.9,
            )
        ]  # fmt: skip
        first = statistics.median(theirs["first_s"] for _, theirs in pairs)
        for launcher in LAUNCHERS:
            found = []
            for index in range(ROUNDS):
                place = folder / f"{launcher}{index}"
                answer = _in_job(cluster, place, "ours", str(place / "run"), "100", "NOW", launcher=launcher)
                found.append(answer["first_s"])
            what = f"from the job's start to the first Outcome, {launcher}; bare HTEXs by srun (s)"
            rows.append(Row(what, spread(found), f"{first:.2f}", statistics.median(found) / first))
    return rows


@possible
def recovery(folder: Path) -> list[Row]:
    """From a fault to the new beginning of the last task that it ended, for each fault and launcher."""
    rows = []
    for fault in FAULTS:
        for launcher in LAUNCHERS:
            place = folder / f"{fault.__name__}-{launcher}"
            place.mkdir()
            with Cluster(place / "c") as cluster:
                run = submit(cluster, place / "r", batch(sleeps(24, 1.0), pool={"launcher": launcher}))
                run.until(4)
                fault(run)
                died = time.time()
                code, outcomes = run.end()
            assert code == 0, run.told()
            again = [
                seconds(attempt["started_at"]) - died for outcome in outcomes for attempt in outcome["history"][1:]
            ]
            what = f"{fault.__name__.replace('_', ' ')} of node2, {launcher}: until its tasks run again (s)"
            shown = f"{max(again):.1f}" if again else "none was lost"
            rows.append(Row(what, shown, "", None, f"≤ {NOTICED_S:g}", max(again, default=0.0) <= NOTICED_S))
    return rows


@possible
def blocks(folder: Path) -> list[Row]:
    """What one block per node costs, beside one block for all nodes, at three sizes; and the slopes."""
    found: dict[str, list[dict[str, Any]]] = {"one": [], "all": []}
    for size in SIZES:
        place = folder / str(size)
        place.mkdir()
        with Cluster(place / "c", nodes=size, pbs=False) as cluster:
            for kind, per_block in (("one", 1), ("all", size)):
                words = ("start-up", str(place / f"run-{kind}"), str(per_block))
                found[kind].append(_in_job(cluster, place / kind, *words, nodes=size))
    rows = []
    for index, size in enumerate(SIZES):
        one, all_ = found["one"][index], found["all"][index]
        rows.append(
            Row(f"{size} nodes, one block each; one block (s until all are up)", f"{one['seconds']:.1f}",
                f"{all_['seconds']:.1f}", one["seconds"] / all_["seconds"])
        )  # fmt: skip
        rows.append(
            Row("  memory of the launchers on the lead node (MiB)", f"{one['launchers_mib']:.0f}",
                f"{all_['launchers_mib']:.0f}")
        )  # fmt: skip
    for name, unit, digits in (("seconds", "s", 2), ("launchers_mib", "MiB", 2)):
        slopes = [(found[kind][-1][name] - found[kind][0][name]) / (SIZES[-1] - SIZES[0]) for kind in ("one", "all")]
        rows.append(Row(f"  slope ({unit} per node)", f"{slopes[0]:.{digits}f}", f"{slopes[1]:.{digits}f}"))
    return rows
