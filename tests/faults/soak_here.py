"""Rounds of a soak on this machine: with ``director run``, and with Directors that outlive their client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from director.elsewhere import plan_elsewhere
from director.exchange import choose, settle
from director.launch import DirectorProcess
from director.runs import deal
from simulations.records import Request
from tests.director.exchanging import free_port
from tests.faults.soak import Injected
from tests.faults.soak_processes import Process
from tests.faults.soak_round import Round
from tests.helpers import wait_until

ROOT = Path(__file__).resolve().parents[2]
DIRECTOR = Path(sys.executable).with_name("director")
POOL = {"max_attempts": 100, "max_node_losses": 1000}
"""Many are killed on purpose here, and none of them because of what it ran."""
BACK_WITHIN_S = 400.0


class RunHere(Round):
    """``director run``, and ``director run --resume`` each time that it was killed or has given up."""

    def start(self) -> None:
        """See `Round.start`."""
        what = {"directors": 2, "nodes": 4, "workers_per_node": 1, "pool": POOL, "requests": list(self.entries)}
        (self.folder / "batch.json").write_text(json.dumps(what))
        self._clients = 0
        self._code: int | None = None
        self._well_at = time.monotonic()
        self._begin(["run", "batch.json", "--run-dir", "run"])

    def _begin(self, words: Sequence[str]) -> None:
        self._clients += 1
        out_file = self.folder / f"out-{self._clients}.jsonl"
        with out_file.open("ab") as out, (self.folder / "client.log").open("ab") as log:
            self._client = subprocess.Popen(
                [DIRECTOR, *words, "--json", "--no-report"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=self.folder, env=environment(self.temporary),
                start_new_session=True,
            )  # fmt: skip

    def tend(self) -> None:
        """See `Round.tend`."""
        if len(self.seen) > getattr(self, "_known", 0):
            self._known, self._well_at = len(self.seen), time.monotonic()
        if self._client.poll() is None:
            return
        if self._client.returncode in (0, 1) and self.complete:
            self._code = self._client.returncode
            return
        if time.monotonic() - self._well_at > BACK_WITHIN_S:
            raise AssertionError(f"the run was not taken up again:\n{self.told()}")
        if self._client.returncode == 2:  # Directors of the client that was killed live for a moment longer
            time.sleep(0.5)
        self._begin(["run", "--resume", "run"])

    def ended(self) -> bool:
        """See `Round.ended`."""
        return self._code is not None

    def kill(self, kind: str, pick: float) -> Injected | None:
        """See `Round.kill`."""
        if kind != "client":
            return super().kill(kind, pick)
        if self._client.poll() is not None:
            return None
        pid = self._client.pid
        return self.struck(kind, Process("client", None, None, pid, f"client {self._clients}"), [pid])

    def close(self) -> None:
        """See `Round.close`."""
        if hasattr(self, "_client") and self._client.poll() is None:
            self._client.kill()
            self._client.wait()

    def told(self) -> str:
        """See `Round.told`."""
        return told(self.folder)


class RunApart(Round):
    """Directors and an exchange that are processes of their own, and a client that comes back to them.

    It is what ``director submit``, ``watch`` and ``resume`` do, without a service between client and Directors.
    """

    kinds = Round.kinds | {"exchange"}
    harmless = frozenset({"client", "exchange"})

    def start(self) -> None:
        """See `Round.start`."""
        self._port = free_port()
        self._secret = self.folder / "secret"
        self._exchange: subprocess.Popen[bytes] | None = None
        self._begin_exchange()
        self._plan = plan_elsewhere(
            directors=2, nodes=4, pool={"workers_per_node": 1, **POOL}, linger_s=900, run_folder=str(self.run_folder)
        )
        choice = choose(f"http://127.0.0.1:{self._port}", self._secret, {})
        self._spec = settle(choice, self._plan.run_id)
        self._launches = {0: 0, 1: 0}
        self._directors: dict[int, DirectorProcess] = {}
        self._failed = 0
        requests = [
            Request(id=f"{self.folder.name}-{index:03}", tool=entry["tool"], inputs=entry["inputs"])
            for index, entry in enumerate(self.entries)
        ]
        dealt = deal(requests, self._plan.weights)
        orders = {
            "run_id": self._plan.run_id,
            "exchange": self._spec.model_dump(mode="json"),
            "requests": [[index, request.model_dump(mode="json")] for index, request in dealt],
            "folder": str(self.folder),
        }
        (self.folder / "orders.json").write_text(json.dumps(orders))
        for index in self._launches:
            self._launch(index)
        self._begin_client()

    def _begin_exchange(self) -> None:
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        with (self.folder / "exchange.log").open("ab") as log:
            self._exchange = subprocess.Popen(
                [DIRECTOR, "exchange", "--secret-file", self._secret, "--port", str(self._port), "--ready-file", ready],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(ready.exists, 30, "the exchange")

    def _launch(self, index: int) -> None:
        self._launches[index] += 1
        (spec,) = self._plan.specs(self._spec, {index: self._launches[index]})
        self._directors[index] = DirectorProcess(spec, environment(self.temporary))

    def _begin_client(self) -> None:
        with (self.folder / "client.log").open("ab") as log:
            self._client = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.soak_client", self.folder / "orders.json"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=ROOT,
            )  # fmt: skip

    def tend(self) -> None:
        """See `Round.tend`."""
        assert self._exchange is not None
        if self._exchange.poll() is not None:
            self._begin_exchange()
        for index, director in list(self._directors.items()):
            if director.ended.done():
                summary = director.ended.result()
                self._failed += "signal SIGKILL" not in str(summary.get("error"))
                assert self._failed < 20, f"{summary}\n{self.told()}"
                self._launch(index)
        if self._client.poll() not in (None, 0):
            self._begin_client()

    def ended(self) -> bool:
        """See `Round.ended`."""
        return self._client.poll() == 0

    def kill(self, kind: str, pick: float) -> Injected | None:
        """See `Round.kill`."""
        own = {"client": self._client, "exchange": self._exchange}.get(kind)
        if own is None:
            return super().kill(kind, pick)
        if own.poll() is not None:
            return None
        return self.struck(kind, Process(kind, None, None, own.pid, kind), [own.pid])

    @property
    def acknowledged(self) -> list[str]:
        """See `Round.acknowledged`."""
        acks = self.folder / "acks"
        return acks.read_text().split() if acks.exists() else []

    def close(self) -> None:
        """See `Round.close`."""
        for director in getattr(self, "_directors", {}).values():
            director.let_go()
        for own in (getattr(self, "_client", None), getattr(self, "_exchange", None)):
            if own is not None and own.poll() is None:
                own.kill()
                own.wait()
        for director in getattr(self, "_directors", {}).values():
            director.ended.result(timeout=30)

    def told(self) -> str:
        """See `Round.told`."""
        return told(self.folder)


def environment(temporary: Path) -> dict[str, str]:
    """This process's environment, with a folder of its own for what is temporary."""
    return {**os.environ, "TMPDIR": str(temporary)}


def told(folder: Path) -> str:
    """The ends of all logs of a round."""
    logs: list[Any] = [*sorted(folder.glob("*.log")), *sorted(folder.glob("run/director-*/director.log"))]
    return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)
