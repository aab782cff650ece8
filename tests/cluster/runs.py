"""Runs of ``director run`` inside jobs of the cluster, as a user would submit them, and what to say of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from director.ledger import read_ledger
from director.runfolder import RunFolder
from partitions.guard import BLOCK_MARK_VARIABLE, MARK_VARIABLE
from tests.cluster.cluster import Cluster
from tests.helpers import wait_until

DIRECTOR = Path(sys.executable).with_name("director")
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def batch(requests: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    """A batch file with one worker on each node, unless it says otherwise."""
    return {"directors": 2, "workers_per_node": 1, **settings, "requests": requests}


def sleeps(count: int, duration_s: float) -> list[dict[str, Any]]:
    """Requests of the Tool that sleeps."""
    return [{"tool": "mock_md", "inputs": {"duration_s": duration_s}, "repeat": count}]


@dataclass
class Run:
    """A batch that runs in a job.

    Attributes:
        cluster: Where.
        folder: Its folder; the run folder is ``run`` in it.
        job: The job.
    """

    cluster: Cluster
    folder: Path
    job: Any

    @property
    def run_folder(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    def lines(self) -> list[dict[str, Any]]:
        """The Outcomes that the command has printed so far."""
        text = (self.folder / "out.jsonl").read_text() if (self.folder / "out.jsonl").exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def until(self, outcomes: int) -> None:
        """Waits until so many Outcomes were printed."""
        wait_until(lambda: len(self.lines()) >= outcomes, 120, f"{outcomes} Outcomes")

    def end(self, timeout_s: float = 120) -> tuple[int, list[dict[str, Any]]]:
        """Waits for the command's end; returns its exit code and all Outcomes."""
        wait_until(lambda: (self.folder / "rc").exists(), timeout_s, f"the end of\n{self.told()}")
        return int((self.folder / "rc").read_text()), self.lines()

    def told(self) -> str:
        """What command and Directors have printed."""
        logs = [path.read_text() for path in sorted(self.run_folder.glob("director-*/director.log"))]
        return "\n".join([self.job.output, *logs])

    def status(self) -> dict[str, Any]:
        """What ``director status --json`` prints on the lead node."""
        lead = self.hosts()[0]
        done = self.cluster.run(lead, [str(DIRECTOR), "status", str(self.run_folder), "--json"])
        return dict(json.loads(done.stdout))

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes as ``director status`` shows them, by name."""
        return {node["hostname"]: node for item in self.status()["directors"] for node in item.get("nodes", [])}

    def hosts(self) -> list[str]:
        """All nodes of the Partitions."""
        return [name for partition in RunFolder(self.run_folder).read().partitions for name in partition]

    def ledgered(self) -> list[str]:
        """Ids of the Outcomes in all ledgers, with repeats if there are any."""
        folder = RunFolder(self.run_folder)
        readings = [read_ledger(folder.ledger(index)) for index in range(len(folder.read().partitions))]
        return [json.loads(body)["id"] for reading in readings for body in reading.outcomes]

    def processes(self, *needles: str) -> dict[str, list[int]]:
        """Processes of ours on each node that is up: those that name the run folder or carry one of our marks."""
        found = {}
        for name in self.cluster.nodes:
            if self.cluster.node_up(name):
                pids = set(self.cluster.pids(name, str(self.run_folder), *needles))
                for variable in (MARK_VARIABLE, BLOCK_MARK_VARIABLE):
                    pids |= set(self.cluster.pids(name, f"{variable}=", environ=True)) if not needles else set()
                found[name] = sorted(pids)
        return found

    def workers(self, host: str) -> list[int]:
        """The processes of worker pools on a node."""
        return self.cluster.pids(host, f"{BLOCK_MARK_VARIABLE}=", environ=True)

    def left(self) -> dict[str, list[int]]:
        """What is left of the run on the nodes."""
        return {name: pids for name, pids in self.processes().items() if pids}


def submit(
    cluster: Cluster,
    folder: Path,
    what: dict[str, Any],
    *,
    options: str = "",
    scheduler: str = "slurm",
    nodes: int = 4,
    args: Sequence[str] = (),
) -> Run:
    """Submits a job that runs a batch with ``director run``."""
    folder.mkdir(parents=True)
    (folder / "batch.json").write_text(json.dumps(what))
    command = f"{DIRECTOR} run batch.json --run-dir run --json --no-report {options}"
    script = f"cd {folder}\n{command} > out.jsonl\necho $? > rc.new\nmv rc.new rc\n"
    # All hosts share this machine's /tmp, in which a node that is killed would leave its keeper's folder.
    temporary = cluster.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**AS_ROOT, "TMPDIR": str(temporary)}
    if scheduler == "slurm":
        job: Any = cluster.sbatch(script, nodes=nodes, args=args, environment=environment)
    else:
        job = cluster.pbs_job(script, nodes=nodes, args=args, environment=environment)
    return Run(cluster, folder, job)


def by_host(outcomes: list[dict[str, Any]]) -> Counter[tuple[int, str]]:
    """How many Outcomes each Director has from each node."""
    return Counter((outcome["director"], outcome["host"]) for outcome in outcomes)


def assert_each_in_its_partition(outcomes: list[dict[str, Any]]) -> None:
    """Every Outcome's node is in its Director's Partition, and no node is in two."""
    assert all(outcome["host"] in outcome["partition"] for outcome in outcomes)
    partitions = {outcome["director"]: tuple(outcome["partition"]) for outcome in outcomes}
    names = [name for partition in partitions.values() for name in partition]
    assert len(set(names)) == len(names)


def seconds(text: str) -> float:
    """A time of an Outcome, as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def assert_at_the_same_time(outcomes: list[dict[str, Any]]) -> None:
    """The Directors have worked side by side, not one after the other."""
    spans = {}
    for outcome in outcomes:
        begin, end = seconds(outcome["started_at"]), seconds(outcome["finished_at"])
        low, high = spans.get(outcome["director"], (begin, end))
        spans[outcome["director"]] = (min(low, begin), max(high, end))
    begins, ends = zip(*spans.values(), strict=True)
    assert max(begins) < min(ends), spans
