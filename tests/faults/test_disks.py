"""Disks that are full, read-only or gone: the Director says so, accepts nothing more, and loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from director.ledger import SqliteLedger
from simulations.records import Outcome
from tests.faults.mounts import Mounts, can_loop, loops
from tests.faults.world import ALL, Replay
from tests.helpers import wait_until

HERE = Path(__file__).resolve().parent
RUN = (sys.executable, "-m", "director", "run")
PATIENCE_S = 300.0
BATCH = "directors: 1\nnodes: 1\nrequests:\n  - tool: mock_md\n    inputs: {duration_s: 0.1}\n"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount"),
    pytest.mark.timeout(1800),
]
needs_loop = pytest.mark.skipif(not can_loop(), reason="this machine has no loop devices")


class Client:
    """`tests.faults.disk_client` in a process of its own, among its mounts."""

    def __init__(self, mounts: Mounts, folder: Path) -> None:
        self.said: list[dict[str, Any]] = []
        self.errors = folder / "client.err"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*mounts.enter(), sys.executable, str(HERE / "disk_client.py"), str(mounts.at / "run")],
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    @property
    def acknowledged(self) -> set[str]:
        """Ids of the Requests that the Director has."""
        return {item["acknowledged"] for item in list(self.said) if "acknowledged" in item}

    def after(self, count: int) -> None:
        """Waits until so many Requests have been acknowledged."""
        wait_until(
            lambda: len(self.acknowledged) >= count or self._over(), PATIENCE_S, f"{count} Requests\n{self._log()}"
        )
        assert not self._over(), self._log()

    def lost(self) -> str:
        """Waits until it hears why the Director is gone, and returns that."""
        wait_until(lambda: any("lost" in item for item in list(self.said)), PATIENCE_S, f"the end\n{self._log()}")
        return next(item["lost"] for item in self.said if "lost" in item)

    def ends(self) -> None:
        """Waits until it has ended, with nothing to complain about but what it has said."""
        assert self.process.wait(PATIENCE_S) == 0, self._log()

    def kill(self) -> None:
        """Ends it if it has not."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _over(self) -> bool:
        return self.process.poll() is not None

    def _log(self) -> str:
        return self.errors.read_text()[-3000:]


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    """A namespace. No process is left in it, and no mount or loop device of it anywhere."""
    with Mounts(tmp_path) as made:
        yield made
        wait_until(lambda: made.guests() == [], PATIENCE_S, "the end of all processes of the run")
    wait_until(lambda: str(tmp_path) not in loops(), PATIENCE_S, "the end of loop devices")
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


@pytest.fixture
def client(mounts: Mounts, tmp_path: Path) -> Iterator[Any]:
    """Starts clients, and ends them."""
    clients: list[Client] = []

    def start() -> Client:
        clients.append(Client(mounts, tmp_path))
        return clients[-1]

    yield start
    for one in clients:
        one.kill()


def ledger_of(mounts: Mounts, folder: Path) -> Path:
    """A copy of the run's ledger, as it is on the file system."""
    source = mounts.outside(mounts.at) / "run" / "director-0"
    copies = folder / f"copy-{time.monotonic_ns()}"
    copies.mkdir()
    for path in source.glob("ledger.sqlite*"):
        shutil.copy(path, copies)
    return copies / "ledger.sqlite"


def outcomes_in(ledger: Path, acknowledged: set[str]) -> dict[str, Outcome]:
    """The Outcomes of a ledger, which has all that was acknowledged, and each once."""
    reader = SqliteLedger(ledger)
    try:
        assert reader.known(sorted(acknowledged)) == acknowledged, "an acknowledged Request is not in the ledger"
        entries = reader.page(0, ALL)
        outcomes = {entry.id: Outcome.model_validate_json(entry.body) for entry in entries}
        Replay(reader.events(0, ALL)).equals(reader, entries, outcomes)
        return outcomes
    finally:
        reader.close()


def resume(mounts: Mounts) -> None:
    """Goes on with the run until all is done."""
    done = subprocess.run(
        [*mounts.enter(), *RUN, "--resume", str(mounts.at / "run"), "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-3000:]}"


def goes_on(mounts: Mounts, folder: Path, client: Client) -> None:
    """What was acknowledged is on the file system; the run resumes, and ends with an Outcome of each."""
    before = outcomes_in(ledger_of(mounts, folder), client.acknowledged)
    resume(mounts)
    after = outcomes_in(ledger_of(mounts, folder), client.acknowledged)
    assert client.acknowledged <= after.keys()
    assert {outcome.status.value for outcome in after.values()} == {"ok"}
    assert {name: after[name] for name in before} == before, "an Outcome has changed"


def test_when_the_disk_is_full_the_director_says_so_and_goes_on_when_there_is_room(mounts, client, tmp_path):
    mounts.tmpfs(12)
    started = client()
    started.after(20)
    ballast = mounts.fill(leave_bytes=40_000)
    why = started.lost()
    assert "disk is full" in why
    assert "free some space" in why
    assert "resume" in why
    started.ends()
    ballast.unlink()
    goes_on(mounts, tmp_path, started)


@needs_loop
def test_when_the_disk_becomes_read_only_the_director_says_so_and_goes_on_when_it_is_mended(mounts, client, tmp_path):
    mounts.ext4()
    started = client()
    started.after(20)
    mounts.fail_read_only()
    why = started.lost()
    # The file system may call it an error of the disk while it takes it out of use.
    assert "may not be written to" in why or "see to the file system" in why
    assert "resume the run" in why
    started.ends()
    mounts.unmount()
    mounts.ext4()
    goes_on(mounts, tmp_path, started)


@needs_loop
def test_when_the_disk_breaks_down_what_was_acknowledged_is_there_when_it_is_back(mounts, client, tmp_path):
    mounts.ext4()
    started = client()
    started.after(20)
    mounts.break_down()
    why = started.lost()
    assert "ledger" in why or "Input/output error" in why
    started.ends()
    mounts.unmount()
    mounts.ext4()
    goes_on(mounts, tmp_path, started)


def test_when_the_file_system_goes_away_what_was_acknowledged_is_there_when_it_is_back(mounts, client, tmp_path):
    mounts.tmpfs(24, mounts.aside)
    mounts.bind()
    started = client()
    started.after(20)
    mounts.unmount(lazily=True)
    why = started.lost()
    assert "ledger" in why or "lease" in why
    started.ends()
    assert not (mounts.outside(mounts.at) / "run").exists(), "something was written where the file system had been"
    mounts.bind()
    goes_on(mounts, tmp_path, started)


def test_a_run_folder_that_cannot_be_written_is_refused_before_anything_starts(mounts, tmp_path):
    mounts.tmpfs(4, read_only=True)
    (tmp_path / "batch.yaml").write_text(BATCH)
    done = subprocess.run(
        [*mounts.enter(), *RUN, str(tmp_path / "batch.yaml"), "--run-dir", str(mounts.at / "run"), "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2, f"{done.stdout}\n{done.stderr}"
    assert done.stdout == ""
    assert "Read-only file system" in done.stderr or "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
