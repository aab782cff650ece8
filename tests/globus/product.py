"""The product, as somebody with a laptop uses it in a stack."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from director.ledger import read_ledger
from tests.cluster.namespaces import HostProcess
from tests.globus.stack import BIN, Stack
from tests.helpers import wait_until

DIRECTOR = str(BIN / "director")
PORT = 8700


def ledgered(run: dict[str, Any]) -> Counter[str]:
    """How often each Request has an Outcome in the ledgers of a run."""
    files = sorted(Path(run["run_folder"]).glob("director-*/ledger.sqlite"))
    return Counter(json.loads(body)["id"] for file in files for body in read_ledger(file).outcomes)


class Product:
    """An exchange, and somebody who submits.

    Args:
        stack: Where.
        host: Address that the exchange listens at.
    """

    def __init__(self, stack: Stack, host: str = "127.0.0.1") -> None:
        self.stack = stack
        self.folder = stack.home("user")
        self.secret = self.folder / "exchange.secret"
        self.url = f"http://{host}:{PORT}"
        self._host = host
        self._exchange: HostProcess | None = None

    def __enter__(self) -> Product:
        self.start_exchange()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_exchange()

    def start_exchange(self) -> None:
        """Starts the exchange, and returns when it listens."""
        plain = [] if self._host.startswith("127.") else ["--plain-http"]
        command = [DIRECTOR, "exchange", "--host", self._host, "--port", str(PORT), "--secret-file", str(self.secret)]
        with (self.stack.folder / "exchange.out").open("a") as out:
            self._exchange = self.stack.popen_as_user(
                [*command, "--json", *plain], home=self.folder, stdout=subprocess.PIPE, stderr=out.fileno()
            )
        assert self._exchange.stdout is not None
        line = self._exchange.stdout.readline()
        assert line, (self.stack.folder / "exchange.out").read_text()

    def stop_exchange(self) -> None:
        """Kills the exchange."""
        if self._exchange is not None:
            self._exchange.kill()
            self._exchange.wait(10)
            self._exchange = None

    def environment(self) -> dict[str, str]:
        """What tells commands where the exchange is."""
        return {"DIRECTOR_EXCHANGE": self.url, "DIRECTOR_EXCHANGE_SECRET_FILE": str(self.secret)}

    def director(
        self,
        *arguments: str,
        check: bool = True,
        home: Path | None = None,
        timeout_s: float = 120,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``director``."""
        return self.stack.as_user(
            [DIRECTOR, *arguments],
            home=home or self.folder,
            environment={**self.environment(), **(environment or {})},
            timeout_s=timeout_s,
            check=check,
        )

    def popen(self, *arguments: str, home: Path | None = None, **options: Any) -> HostProcess:
        """Starts ``director``."""
        return self.stack.popen_as_user(
            [DIRECTOR, *arguments], home=home or self.folder, environment=self.environment(), **options
        )

    def batch(self, name: str, requests: Sequence[Mapping[str, Any]], **settings: Any) -> str:
        """Writes a batch file, and returns its path."""
        file = self.folder / f"{name}.json"
        what = {"directors": 2, "nodes": 2, "workers_per_node": 1, **settings, "requests": list(requests)}
        file.write_text(json.dumps(what))
        file.chmod(0o644)
        return str(file)

    def submit(self, batch: str, *options: str, **more: Any) -> dict[str, Any]:
        """Submits a batch; returns what the command says of the run."""
        words = ["submit", batch, "--endpoint", self.stack.endpoint_id, "--json", *options]
        done = self.director(*words, **more)
        return dict(json.loads(done.stdout))

    def outcomes(self, run: str, *options: str, **more: Any) -> list[dict[str, Any]]:
        """The Outcomes of a run, by ``director watch``."""
        done = self.director("watch", run, "--json", *options, **more)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def until(self, run: str, count: int, timeout_s: float = 150) -> None:
        """Waits until a run has so many Outcomes."""
        wait_until(lambda: len(self._so_far(run)) >= count, timeout_s, f"{count} Outcomes of {run}")

    def _so_far(self, run: str) -> list[str]:
        return self.director("outcomes", run, "--json", check=False).stdout.splitlines()
