"""A batch that is too long for its job is finished by the next ones, and nothing of it is done twice or lost."""

import itertools

import pytest

from tests.cluster.cluster import Cluster
from tests.faults.soak_audit import fenced, read_books, uninterrupted
from tests.faults.soak_frames import check
from tests.faults.soak_jobs import jobs_in_a_row

WALLTIME_MIN = 1
WORK_S = 100.0
REQUESTS = 6
HANGS_AFTER_JOBS = 15
RESERVE_S = 20
NOT_WORKED = 0.5
"""Idle and lost time, of jobs that are this short; how long start-ups take is the machine's affair."""


@pytest.mark.timeout(1800)
def test_four_jobs_of_a_minute_finish_a_batch_and_its_trajectories_are_whole(tmp_path, record_property):
    with Cluster(tmp_path / "c", nodes=2, pbs=False) as cluster:
        report = jobs_in_a_row(
            cluster,
            tmp_path / "w",
            minutes=WALLTIME_MIN,
            work_s=WORK_S,
            requests=REQUESTS,
            # Slurm looks at its jobs twice a minute: it says so 10 to 40 s before the end.
            endings=["deadline", "--signal=B:USR1@10", "deadline"],
            most=HANGS_AFTER_JOBS,
            options=f"--reserve {RESERVE_S}s",
        )
    assert cluster.leftovers() == []
    table = str(report)
    (tmp_path / "table.txt").write_text(table + "\n")
    record_property("table", table)
    assert 2 <= len(report.jobs) < HANGS_AFTER_JOBS, table  # four, unless the machine is busy
    assert {job.state for job in report.jobs} == {"COMPLETED"}, table
    assert all(job.elapsed_s < report.walltime_s for job in report.jobs), table
    assert [job.code for job in report.jobs] == [1] * (len(report.jobs) - 1) + [0], table
    simulated = [0.0, *(job.totals.simulated_ns for job in report.jobs)]
    steps = list(itertools.pairwise(simulated))
    # On a machine that is too busy, a job of a minute may be over before anything has reached a checkpoint.
    assert all(before <= after for before, after in steps), table
    assert sum(before < after for before, after in steps) >= 2, table
    assert report.totals.lost_s == pytest.approx(0, abs=1.0), table
    assert report.totals.idle_s + report.totals.lost_s < NOT_WORKED * report.totals.worker_s, table

    assert len(report.outcomes) == len({outcome.id for outcome in report.outcomes}) == REQUESTS
    assert {outcome.status for outcome in report.outcomes} == {"ok"}
    assert [text for book in read_books(report.run_folder) for text in fenced(book)] == []
    for outcome in report.outcomes:
        check(outcome.model_dump(mode="json"), report.run_folder)
        paused = [record for record in outcome.history if record.ended == "paused"]
        assert len(paused) == len(outcome.history) - 1
        saved_amount = 0.0
        for record in outcome.history:
            if record.course.began_at is not None:  # else it was asked to pause before it had begun
                assert record.course.from_amount == saved_amount
                saved_amount = record.course.saved_amount
    parted = [outcome for outcome in report.outcomes if len(outcome.history) > 1]
    assert parted, table
    chosen = max(parted, key=lambda outcome: len(outcome.history))
    whole = uninterrupted(chosen.inputs, tmp_path / "uninterrupted" / chosen.id)
    assert (report.run_folder / chosen.artifacts["trajectory"]).read_bytes() == whole
