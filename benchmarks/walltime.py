"""Jobs of 3 minutes that do 10 minutes of simulation, in a real Slurm cluster in namespaces of this machine."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cluster import possible
from benchmarks.table import Row
from tests.cluster.cluster import Cluster
from tests.faults.soak_frames import check
from tests.faults.soak_jobs import jobs_in_a_row

WALLTIME_MIN = 3
WORK_S = 600.0
REQUESTS = 6
MOST_JOBS = 4
HANGS_AFTER_JOBS = 8
WASTED = 0.05


@possible
def walltime(folder: Path) -> list[Row]:
    """How many jobs it takes, what they waste, and whether each trajectory has all of its frames."""
    with Cluster(folder / "c", nodes=2, pbs=False) as cluster:
        report = jobs_in_a_row(
            cluster,
            folder / "w",
            minutes=WALLTIME_MIN,
            work_s=WORK_S,
            requests=REQUESTS,
            # Slurm looks at its jobs twice a minute: it says so 10 to 40 s before the end.
            endings=["deadline", "--signal=B:USR1@10", "deadline"],
            most=HANGS_AFTER_JOBS,
            options="--reserve 10s",
        )
    print(report)
    frames = sum(check(outcome.model_dump(mode="json"), report.run_folder) for outcome in report.outcomes)
    states = sorted({job.state for job in report.jobs})
    all_ok = len(report.outcomes) == REQUESTS and {outcome.status.value for outcome in report.outcomes} == {"ok"}
    whole = all_ok and states == ["COMPLETED"]
    jobs = len(report.jobs)
    what = f"{WORK_S:g} s of simulation per worker in jobs of {60 * WALLTIME_MIN} s: jobs, all {', '.join(states)}"
    return [
        Row(what, str(jobs), "", None, f"≤ {MOST_JOBS}", whole and jobs <= MOST_JOBS),
        Row("  node-hours wasted of those that Directors held", f"{100 * report.wasted:.1f} %", "", None,
            f"≤ {100 * WASTED:g} %", report.wasted <= WASTED),
        Row("  of the jobs' node-hours, as Slurm counts, not kept", f"{100 * report.wasted_of_jobs:.1f} %", ""),
        Row("  frames, each there once and in its place", f"{frames:,}", "", None, "", whole),
    ]  # fmt: skip
