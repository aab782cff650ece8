"""Rounds of a soak in the Slurm cluster: batch jobs, one after the other, with the same run folder."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster
from tests.cluster.runs import AS_ROOT
from tests.cluster.slurm import SlurmJob
from tests.faults.soak import Injected
from tests.faults.soak_here import BACK_WITHIN_S, DIRECTOR, POOL, told
from tests.faults.soak_round import Round

LEAD = "node1"
NODE_BACK_S = 12.0
SCRIPT = """\
cd {folder}
if [ -e run/requests.jsonl ]; then
  what="--resume {folder}/run"
else
  what="{folder}/batch.json --run-dir {folder}/run"
fi
{director} run $what --json --no-report > out-{number}.jsonl 2> client-{number}.log
echo $? > rc-{number}.new
mv rc-{number}.new rc-{number}
"""


class RunInSlurm(Round):
    """``director run`` in a job of four nodes; nodes that are killed come back after a while.

    Args:
        folder: Its folder.
        entries: What it runs.
        cluster: Where.
    """

    kinds = Round.kinds | {"launcher", "node", "lead node"}

    def __init__(self, folder: Path, entries: Sequence[dict[str, Any]], cluster: Cluster) -> None:
        super().__init__(folder, entries)
        self._cluster = cluster
        self._jobs = 0
        self._job: SlurmJob | None = None
        self._down: dict[str, float] = {}
        self._restarted: set[str] = set()
        self._code: int | None = None
        self._known = 0
        self._well_at = time.monotonic()

    def start(self) -> None:
        """See `Round.start`."""
        pool = {**POOL, "launcher": "srun"}
        what = {"directors": 2, "workers_per_node": 1, "pool": pool, "requests": list(self.entries)}
        (self.folder / "batch.json").write_text(json.dumps(what))
        self._submit()

    def _submit(self) -> None:
        self._jobs += 1
        self._clear()
        temporary = self._cluster.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        script = SCRIPT.format(folder=self.folder, director=DIRECTOR, number=self._jobs)
        self._job = self._cluster.sbatch(script, environment={**AS_ROOT, "TMPDIR": str(temporary)})
        self._asked, self._was_over, self._cancelled = time.monotonic(), False, False

    def tend(self) -> None:
        """See `Round.tend`."""
        self._bring_nodes_back()
        if len(self.seen) > self._known:
            self._known, self._well_at = len(self.seen), time.monotonic()
        code = self._rc()
        if code in (0, 1) and self.complete:
            self._code = code
            return
        # One whose lead node is gone has no script any more that could say so.
        orphaned = code is None and LEAD in self._down
        if code is None and not orphaned and not self._over():
            return
        if time.monotonic() - self._well_at > BACK_WITHIN_S:
            raise AssertionError(f"the run was not taken up again:\n{self.told()}")
        assert self._job is not None
        if not self._over() and not self._cancelled:
            self._job.cancel()
            self._cancelled = True
        if self._over() and not self._down:
            self._submit()

    def _rc(self) -> int | None:
        file = self.folder / f"rc-{self._jobs}"
        return int(file.read_text()) if file.exists() else None

    def _over(self) -> bool:
        """Whether the job has ended. Asked at most once a second: each time a command runs in the cluster."""
        assert self._job is not None
        now = time.monotonic()
        if now - self._asked > 1.0:
            self._asked = now
            self._was_over = self._job.ended(self._job.state())
        return self._was_over

    def _bring_nodes_back(self) -> None:
        for name, since in list(self._down.items()):
            if time.monotonic() - since > NODE_BACK_S:
                self._cluster.start_node(name)
                del self._down[name]
                self._restarted.add(name)

    def _clear(self) -> None:
        """Frees restarted nodes of jobs that have ended."""
        for name in self._restarted:
            self._admin(name, "State=DOWN", "Reason=restarted")
            self._admin(name, "State=RESUME")
        self._restarted.clear()

    def _admin(self, name: str, *words: str) -> None:
        """Tells Slurm how a node is: it would take a minute to find out that nothing of a job is there any more."""
        self._cluster.run("login", ["scontrol", "update", f"NodeName={name}", *words], check=False)

    def ended(self) -> bool:
        """See `Round.ended`."""
        return self._code is not None

    def kill(self, kind: str, pick: float) -> Injected | None:
        """See `Round.kill`."""
        if kind in ("node", "lead node"):
            return self._kill_node(kind, pick)
        victims = [one for one in self.processes.find() if one.role == kind]
        if not victims:
            return None
        victim = victims[int(pick * len(victims))]
        together = [victim.pid]
        if kind == "launcher":  # srun has a child that is an srun, too
            together = [one.pid for one in victims if (one.director, one.host) == (victim.director, victim.host)]
        return self.struck(kind, victim, together)

    def _kill_node(self, kind: str, pick: float) -> Injected | None:
        """A node that is not the lead node; or that one, and with it the job's script, the client and the Directors."""
        names = [name for name in self._cluster.nodes if (name == LEAD) == (kind == "lead node")]
        names = [name for name in names if self._cluster.node_up(name)]
        if not names or (kind == "lead node" and self._rc() is not None):
            return None
        name = names[int(pick * len(names))]
        glimpses = self.glimpse()
        fault = Injected(kind, time.time(), host=None if kind == "lead node" else name, what=name)
        self._cluster.kill_node(name)
        if name == LEAD:
            self._admin(LEAD, "State=DOWN", "Reason=killed")
        self._down[name] = time.monotonic()
        self.happened(fault, glimpses)
        return fault

    def close(self) -> None:
        """See `Round.close`."""
        for name in list(self._down):
            self._down[name] = 0.0
        self._bring_nodes_back()
        if self._job is not None and not self._job.ended(self._job.state()):
            self._job.cancel()
            self._job.wait(180)
        self._clear()

    def told(self) -> str:
        """See `Round.told`."""
        return f"{self._job.output if self._job else ''}\n{told(self.folder)}"
