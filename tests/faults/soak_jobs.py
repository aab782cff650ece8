"""Jobs in a row with the same run folder, each too short for the work: what they did, and what they wasted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.accounting import Account, Totals
from director.ledger import read_events, read_ledger
from director.runfolder import RunFolder
from director.totals import add_up
from simulations.records import Outcome
from tests.cluster.cluster import Cluster
from tests.cluster.runs import AS_ROOT
from tests.cluster.slurm import SlurmJob
from tests.faults.soak_here import DIRECTOR

NODES = 2
INPUTS = {"structure": "alanine-dipeptide", "solvent": "implicit", "platform": "Reference"}
FRAMES = 200
CALIBRATION_STEPS = 100_000
# Slurm tells the script, and the script tells the command; the first `wait` ends with the signal.
SCRIPT = """\
cd {folder}
if [ -e run/run.json ]; then what="--resume run"; else what="batch.json --run-dir run"; fi
{director} run $what {options} --json > out-{number}.jsonl 2> client-{number}.log &
command=$!
trap "kill -USR1 $command" USR1
wait $command
wait $command
code=$?
echo $code > rc-{number}
[ $code -le 1 ]
"""


@dataclass(frozen=True)
class Ended:
    """How one job came to its end.

    Attributes:
        how: What told it to end.
        state: What Slurm calls its state.
        elapsed_s: How long it had its nodes, in s, as Slurm counts.
        code: The command's exit code.
        totals: Where the run's time went up to then.
    """

    how: str
    state: str
    elapsed_s: int
    code: int
    totals: Totals


@dataclass(frozen=True)
class Report:
    """What jobs in a row did.

    Attributes:
        walltime_s: How long each might have taken, in s.
        work_s: How long each worker would have worked at the speed that was measured before, in s.
        jobs: They.
        outcomes: The Outcomes of the run.
        run_folder: The run folder.
    """

    walltime_s: int
    work_s: float
    jobs: list[Ended]
    outcomes: list[Outcome]
    run_folder: Path

    @property
    def totals(self) -> Totals:
        """Where the time went in the end."""
        return self.jobs[-1].totals

    @property
    def slowdown(self) -> float:
        """How much longer the work took than it would have at the speed that was measured before."""
        return (self.totals.run_s - self.totals.lost_s) / NODES / self.work_s

    @property
    def wasted(self) -> float:
        """Wasted node-hours, as a part of all: start-ups, lost work and idle time."""
        return self.totals.wasted_node_hours / self.totals.node_hours

    @property
    def node_hours(self) -> float:
        """Node-hours of the jobs, as Slurm counts: in whole seconds, and with what a Director does not see."""
        return NODES * sum(job.elapsed_s for job in self.jobs) / 3600

    @property
    def wasted_of_jobs(self) -> float:
        """Part of the jobs' node-hours that was not work that lasts."""
        return 1 - self.totals.kept_node_hours / self.node_hours

    def __str__(self) -> str:
        """The table."""
        lines = [
            f"{len(self.outcomes)} simulations, {self.work_s:g} s of work for each of {NODES} nodes (it took "
            f"{self.slowdown:.2f} times as long), in jobs of {self.walltime_s} s:",
            "  job  ended by             state       s of walltime  simulated (ns)  kept (s)  start-up (s)  idle (s)"
            "  lost (s)",
        ]
        before = Totals()
        for number, job in enumerate(self.jobs, 1):
            now = job.totals
            lines.append(
                f"  {number:3}  {job.how:19}  {job.state:10}  {job.elapsed_s:13}"
                f"  {now.simulated_ns - before.simulated_ns:14.3f}"
                f"  {(now.run_s - now.lost_s) - (before.run_s - before.lost_s):8.1f}"
                f"  {now.startup_s - before.startup_s:12.1f}  {now.idle_s - before.idle_s:8.1f}"
                f"  {now.lost_s - before.lost_s:8.1f}"
            )
            before = now
        end = self.totals
        lines.append(
            f"  node-hours held {end.node_hours:.4f}, wasted {100 * self.wasted:.1f} % "
            f"(start-up {100 * end.startup_node_hours / end.node_hours:.1f} %, "
            f"idle {100 * end.idle_node_hours / end.node_hours:.1f} %, "
            f"lost {100 * end.lost_node_hours / end.node_hours:.1f} %); "
            f"as Slurm counts {self.node_hours:.4f}, and {100 * self.wasted_of_jobs:.1f} % of it not kept"
        )
        return "\n".join(lines)


def jobs_in_a_row(
    cluster: Cluster,
    folder: Path,
    *,
    minutes: int,
    work_s: float,
    requests: int,
    endings: Sequence[str],
    most: int,
    options: str = "",
) -> Report:
    """Runs a batch in jobs that are too short for it, until it is done.

    Args:
        cluster: Where.
        folder: A new folder.
        minutes: Walltime of each job, in min.
        work_s: How long each worker would take for all of its share, at the speed that is measured first, in s.
        requests: How many simulations that is, of both workers together.
        endings: How each job is told to end, the last one for all that follow: ``deadline`` (it knows), or
            ``--signal`` and what `sbatch` takes (Slurm says so).
        most: So many jobs at most.
        options: Further options of ``director run``.
    """
    folder.mkdir(parents=True)
    speed = _calibrated(cluster, folder / "calibration")
    steps = max(int(speed * work_s * NODES / requests), 1000)
    inputs = {**INPUTS, "steps": steps, "report_interval_steps": max(steps // FRAMES, 1)}
    _write_batch(folder, {"tool": "md", "inputs": {**inputs, "seed": 1}, "repeat": requests})
    jobs: list[Ended] = []
    while len(jobs) < most and not _done(folder, requests):
        how = endings[min(len(jobs), len(endings) - 1)]
        jobs.append(_job(cluster, folder, len(jobs) + 1, minutes, how, options))
    run = RunFolder(folder / "run")
    bodies = [body for index in range(len(run.read().partitions)) for body in read_ledger(run.ledger(index)).outcomes]
    outcomes = [Outcome.model_validate_json(body) for body in bodies]
    return Report(60 * minutes, work_s, jobs, outcomes, run.path)


def _write_batch(folder: Path, *entries: dict[str, Any]) -> None:
    what = {"directors": 1, "workers_per_node": 1, "requests": list(entries)}
    (folder / "batch.json").write_text(json.dumps(what))


def _calibrated(cluster: Cluster, folder: Path) -> float:
    """Steps per second of one worker, while all work."""
    folder.mkdir()
    inputs = {**INPUTS, "steps": CALIBRATION_STEPS, "report_interval_steps": 1000, "seed": 1000}
    _write_batch(folder, {"tool": "md", "inputs": inputs, "repeat": NODES})
    _job(cluster, folder, 1, 5, "deadline", "")
    lines = (folder / "out-1.jsonl").read_text().splitlines()
    results = [json.loads(line)["result"] for line in lines]
    return min(result["steps"] / result["wall_s"]["integrate"] for result in results)


def _job(cluster: Cluster, folder: Path, number: int, minutes: int, how: str, options: str) -> Ended:
    script = SCRIPT.format(folder=folder, director=DIRECTOR, number=number, options=options)
    temporary = cluster.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    args = [f"--time={minutes}", *([how] if how.startswith("--signal") else [])]
    job = cluster.sbatch(script, nodes=NODES, args=args, environment={**AS_ROOT, "TMPDIR": str(temporary)})
    state = job.wait(60 * minutes + 120)
    rc = folder / f"rc-{number}"
    log = (folder / f"client-{number}.log").read_text()
    assert rc.exists(), f"job {number} is {state}, and its script did not come to its end:\n{log}"
    code = int(rc.read_text())
    assert code in (0, 1), f"job {number} ended with {code}:\n{log}"
    return Ended(how, state, _elapsed_s(cluster, job), code, _totals(RunFolder(folder / "run")))


def _elapsed_s(cluster: Cluster, job: SlurmJob) -> int:
    shown = cluster.run("login", ["scontrol", "--oneliner", "show", "job", job.id]).stdout
    found = re.search(r"\bRunTime=(?:(\d+)-)?(\d+):(\d+):(\d+)", shown)
    assert found, shown
    days, hours, minutes, seconds = (int(word or 0) for word in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _totals(run: RunFolder) -> Totals:
    record = run.read()
    parts = []
    for index, partition in enumerate(record.partitions):
        outcomes = [Outcome.model_validate_json(body) for body in read_ledger(run.ledger(index)).outcomes]
        events = read_events(run.ledger(index))
        units = {event.id: "ns" for event in events if event.id is not None}
        account = Account.of(events, outcomes, nodes=len(partition), workers=record.workers[index], units=units)
        parts.append(account.totals())
    totals = add_up(parts)
    assert totals is not None
    return totals


def _done(folder: Path, requests: int) -> bool:
    run = RunFolder(folder / "run")
    if not run.record_file.exists():
        return False
    return sum(len(read_ledger(run.ledger(index)).outcomes) for index in range(len(run.read().partitions))) >= requests
