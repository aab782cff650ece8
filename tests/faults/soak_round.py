"""A round of a soak: some work, what keeps it going, and how faults are made to happen to it."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from director.ledger import read_ledger
from director.ledger.errors import NotLedgerError
from director.runfolder import RunFolder
from simulations.workspace import PROGRESS_FILE, read_course
from tests.faults.soak import Glimpse, Injected, Planned
from tests.faults.soak_audit import lines_of
from tests.faults.soak_processes import Process, Processes

CHECKPOINT_S = 3.0
LOOK_S = 5.0
STILL_S = 400.0
"""So long without an Outcome is not slow any more: it hangs."""
GLANCE_S = 0.5
CRASHES = {
    0: {"crash": "error", "crash_after_s": 0.2},
    1: {"crash": "transient", "crash_after_s": 0.2, "crash_attempts": 1},
}
"""What some of the sleeps do."""
SCOPES = {"director": "director", "interchange": "director", "client": "run", "exchange": "run"}
"""Whose attempts a kind of fault can end, where it is not those of one node."""


def requests(seed: int, share: float = 1.0) -> list[dict[str, Any]]:
    """Entries of a batch file that keep four workers on one core busy for about 60 s, or a share of that.

    Two kinds of real simulations, and one that is made to diverge; sleeps, of which one is made to fail, and another to
    fail at first in a way that is worth another attempt. No two are the same.
    """
    chance = random.Random(seed)
    common = {"solvent": "implicit", "checkpoint_interval_s": CHECKPOINT_S}
    small = {
        "structure": "alanine-dipeptide",
        "platform": "Reference",
        "steps": 120_000,
        "report_interval_steps": 2_500,
    }
    larger = {"structure": "ala10", "platform": "CPU", "steps": 2_030, "report_interval_steps": 50}
    hot = {"structure": "chignolin", "platform": "Reference", "steps": 5_000, "report_interval_steps": 500,
           "timestep_fs": 5.0, "temperature_k": 2000.0, "constraints": "none", "minimize": False}  # fmt: skip
    found = [
        {"tool": "md", "inputs": {**common, **inputs, "seed": chance.randrange(1, 10**9)}}
        for inputs, count in ((small, 4), (larger, 3), (hot, 1))
        for _ in range(count)
    ]
    for number in range(28):
        length_s = round(min(chance.lognormvariate(0, 1), 8.0), 3)
        inputs = {"duration_s": length_s, "checkpoint_interval_s": CHECKPOINT_S, "seed": chance.randrange(10**9)}
        crash = CRASHES.get(number, {})
        found.append({"tool": "mock_md", "inputs": {**inputs, **crash}})
    chance.shuffle(found)
    return found[: math.ceil(share * len(found))]


class Round(ABC):
    """One run, from its beginning to its end, that is kept going whatever happens to it.

    Args:
        folder: Its folder; the run folder is ``run`` in it.
        entries: What it runs.

    Attributes:
        kinds: The kinds of faults that can happen to it.
        harmless: Those of them that end no attempt.
        faults: Those that have.
        glimpses: What attempts had said of themselves just before each.
        seen: Outcomes by id, as its client has printed them.
        temporary: Where its processes put what is temporary.
    """

    kinds: frozenset[str] = frozenset({"worker", "helper", "manager", "keeper", "interchange", "director", "client"})

    harmless: frozenset[str] = frozenset()

    def __init__(self, folder: Path, entries: Sequence[dict[str, Any]]) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.run_folder = folder / "run"
        self.entries = entries
        self.temporary = Path(tempfile.mkdtemp(prefix="soak-"))  # a short name: there are sockets in it
        self.processes = Processes(self.run_folder)
        self.faults: list[Injected] = []
        self.glimpses: dict[Injected, dict[str, Glimpse]] = {}
        self.seen: dict[str, str] = {}
        self.times: list[float] = []
        self.violations: list[str] = []
        self.began = time.monotonic()
        self._struck_at: float | None = None
        self._going_at: float | None = None
        self._glanced_at = 0.0
        self._read: dict[Path, int] = {}
        self._looked = time.monotonic()
        self._bodies: dict[int, list[str]] = {}
        self._new_at = time.monotonic()

    # ---- what differs

    @abstractmethod
    def start(self) -> None:
        """Starts it."""

    @abstractmethod
    def tend(self) -> None:
        """Starts again what has ended too early."""

    @abstractmethod
    def ended(self) -> bool:
        """Whether its client says that all is done."""

    @abstractmethod
    def close(self) -> None:
        """Ends whatever is left of it."""

    @abstractmethod
    def told(self) -> str:
        """What it has said, for whoever has to find out what went wrong."""

    @property
    def acknowledged(self) -> list[str]:
        """Ids of the Requests whose acknowledgement a client has noted."""
        return []

    def kill(self, kind: str, pick: float) -> Injected | None:
        """Makes a fault happen, if there is anything that it can happen to."""
        victims = [one for one in self.processes.find() if one.role == kind]
        if not victims:
            return None
        victim = victims[int(pick * len(victims))]
        return self.struck(kind, victim, [victim.pid])

    # ---- what is the same for all

    @property
    def complete(self) -> bool:
        """Whether the ledgers have an Outcome of each Request."""
        ledgers = [RunFolder(self.run_folder).ledger(index) for index in range(2)]
        return sum(len(read_ledger(ledger).outcomes) for ledger in ledgers if ledger.exists()) >= len(self.entries)

    def ready(self, fault: Planned) -> bool:
        """Whether a fault may happen now."""
        since = self._struck_at if fault.eager else None
        since = self._works_since() if since is None else since  # nothing strikes before the round has begun to work
        return since is not None and time.monotonic() - since >= fault.gap_s

    def _works_since(self) -> float | None:
        """Since when work is known to go on after the last fault, by the monotonic clock; None if it does not yet."""
        now = time.monotonic()
        if self._going_at is None and now - self._glanced_at > GLANCE_S:
            self._glanced_at = now
            last_at = self.faults[-1].at if self.faults else 0.0
            courses = [glimpse.course for glimpse in self.glimpse().values()] if self.faults else []
            begun = any(course.began_at is not None and course.began_at.timestamp() > last_at for course in courses)
            if begun or (self.times and self.times[-1] > last_at):
                self._going_at = now
        return self._going_at

    def struck(self, kind: str, victim: Process, pids: Sequence[int]) -> Injected:
        """Kills processes, and says what was done."""
        scope = SCOPES.get(kind, "node")
        glimpses = self.glimpse()
        fault = Injected(
            kind,
            time.time(),
            director=None if scope == "run" else victim.director,
            host=victim.host if scope == "node" else None,
            what=f"{victim.pid} {victim.command[:60].strip()}",
            harmless=kind in self.harmless,
        )
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.happened(fault, glimpses)
        return fault

    def happened(self, fault: Injected, glimpses: dict[str, Glimpse]) -> None:
        """Notes a fault, and what attempts had said just before it."""
        self.faults.append(fault)
        self.glimpses[fault] = glimpses
        self._struck_at, self._going_at = time.monotonic(), None

    def glimpse(self) -> dict[str, Glimpse]:
        """What attempts say of themselves now, by the ids of their Requests."""
        found = {}
        for path in self.run_folder.glob(f"director-*/work/*/{PROGRESS_FILE}"):
            try:
                epoch = int(json.loads(path.read_bytes())["epoch"])
            except (OSError, ValueError, KeyError):  # gone, with its Request's end
                continue
            course = read_course(path.parent, epoch)
            if course is not None:
                found[path.parent.name] = Glimpse(epoch, course)
        return found

    def look(self) -> None:
        """Reads what the client has printed, and now and then the ledgers: what was there must still be there."""
        for line in self._new_lines():
            body = json.dumps(line, sort_keys=True)
            if self.seen.setdefault(line["id"], body) != body:
                self.violations.append(f"{line['id']}: its client has shown two Outcomes")
            else:
                self.times.append(time.time())
                self._new_at = time.monotonic()
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            self._look_at_ledgers()
        if time.monotonic() - max(self._new_at, self.began) > STILL_S:
            raise AssertionError(f"no Outcome for {STILL_S:g} s after {len(self.seen)}:\n{self.told()}")

    def _new_lines(self) -> list[dict[str, Any]]:
        """Each client has a file of its own, since one that is killed may leave a part of a line."""
        found = []
        for path in sorted(self.folder.glob("out-*.jsonl")):
            lines = lines_of(path)
            found += lines[self._read.get(path, 0) :]
            self._read[path] = len(lines)
        return found

    def _look_at_ledgers(self) -> None:
        for index in range(2):
            ledger = RunFolder(self.run_folder).ledger(index)
            before = self._bodies.get(index, [])
            try:
                bodies = read_ledger(ledger).outcomes if ledger.exists() else []
            except NotLedgerError:  # its first Director has just begun to make it
                bodies = []
            if bodies[: len(before)] != before:
                self.violations.append(f"an Outcome in {ledger} has changed")
            self._bodies[index] = bodies

    def left(self) -> list[Process]:
        """What of it runs."""
        return self.processes.find()

    def litter(self) -> list[str]:
        """What lies in its temporary folder. A keeper that was killed before it had a guard cannot tidy up."""
        names = sorted(path.name for path in self.temporary.iterdir())
        keepers = sum(fault.kind == "keeper" for fault in self.faults)
        of_keepers = [name for name in names if name.startswith("director-keeper-")]
        return [name for name in names if name not in of_keepers[:keepers]]
