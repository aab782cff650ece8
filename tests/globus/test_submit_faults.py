"""Parts of the way from the laptop to the Directors end in the middle of a batch, and every Request has one Outcome."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from director.exchange import run_token
from tests.globus.product import Product, ledgered
from tests.globus.stack import Stack
from tests.helpers import end_all, wait_until

REQUESTS = 24
TOLD_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def product(stack_local: Stack) -> Iterator[Product]:
    with Product(stack_local) as made:
        yield made


class Watch:
    """``director watch`` while something happens. What it prints is kept, with the time of each line."""

    def __init__(self, product: Product, run: str, give_up_s: float) -> None:
        words = ["watch", run, "--json", "--give-up-s", str(give_up_s)]
        pipe = subprocess.PIPE
        self._process = product.popen(*words, stdout=pipe, stderr=pipe)
        self.outcomes: list[dict[str, Any]] = []
        self.said: list[tuple[float, str]] = []
        reading = (
            (self._process.stdout, lambda line: self.outcomes.append(json.loads(line))),
            (self._process.stderr, lambda line: self.said.append((time.monotonic(), line.rstrip()))),
        )
        self._threads = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in reading]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, take: Callable[[str], None]) -> None:
        for line in stream:
            take(line)

    def end(self, timeout_s: float = 150.0) -> int:
        """Waits for its end; returns its exit code."""
        code = self._process.wait(timeout_s)
        for thread in self._threads:
            thread.join(10)
        return int(code)

    def text(self) -> str:
        """What it said to people."""
        return "\n".join(line for _, line in self.said)


def submitted(product: Product, name: str) -> dict[str, Any]:
    sleeps = {"tool": "mock_md", "inputs": {"duration_s": 0.5}, "repeat": REQUESTS}
    return product.submit(product.batch(name, [sleeps]))


def has_one_outcome_of_each(run: dict[str, Any], printed: list[dict[str, Any]]) -> None:
    assert Counter(ledgered(run).values()) == {1: REQUESTS}
    assert Counter(outcome["id"] for outcome in printed) == ledgered(run)
    assert {outcome["status"] for outcome in printed} == {"ok"}


def kill(product: Product, what: str) -> int:
    pids = [pid for pid, line in product.stack.facility_processes().items() if what in line]
    end_all(pids)
    return len(pids)


def processes(product: Product, what: str) -> list[str]:
    return [line for line in product.stack.facility_processes().values() if what in line]


def restart_endpoint(product: Product) -> None:
    product.stack.kill_endpoint()
    product.stack.start_endpoint()


def restart_exchange(product: Product) -> None:
    product.stop_exchange()
    product.start_exchange()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("exchange", restart_exchange),
        ("broker", lambda product: product.stack.broker.restart(kill=True)),
        ("service", lambda product: product.stack.service.restart(kill=True)),
    ],
)
def test_what_directors_do_not_need_restarts_and_a_watch_goes_on(
    product: Product, name: str, fault: Callable[[Product], None]
) -> None:
    run = submitted(product, name)
    watch = Watch(product, run["run_id"], give_up_s=60)
    wait_until(lambda: len(watch.outcomes) >= 3, 60, "the first Outcomes")
    fault(product)
    assert watch.end() == 0, watch.text()
    has_one_outcome_of_each(run, watch.outcomes)
    product.director("close", run["run_id"])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("endpoint", restart_endpoint),  # whose children end with it
        ("directors", lambda product: kill(product, "director.process")),
        ("job", lambda product: kill(product, "spawn_main")),  # the pool's workers, which run the Directors' tasks
    ],
)
def test_directors_end_and_a_watch_says_so_and_all_is_done_after_a_resume(
    product: Product, name: str, fault: Callable[[Product], None]
) -> None:
    run = submitted(product, name)
    watch = Watch(product, run["run_id"], give_up_s=3)
    wait_until(lambda: len(watch.outcomes) >= 3, 60, "the first Outcomes")
    begin = time.monotonic()
    fault(product)
    code = watch.end()
    told = [at - begin for at, line in watch.said if "asking again" in line]
    print(f"{name}: told after {told} s\n{watch.text()}")  # noqa: T201  (shown by pytest -s)
    assert code == 3, watch.text()
    assert told, watch.text()
    assert told[0] < TOLD_WITHIN_S
    assert f"director resume {run['run_id']}" in watch.text()
    assert "Traceback" not in watch.text()
    product.director("resume", run["run_id"])
    again = product.outcomes(run["run_id"])
    has_one_outcome_of_each(run, again)
    assert {outcome["id"] for outcome in watch.outcomes} <= {outcome["id"] for outcome in again}
    assert max(Counter(outcome["id"] for outcome in watch.outcomes).values()) == 1
    product.director("close", run["run_id"])


def test_a_batch_that_is_too_large_for_a_task_goes_over_the_exchange(product: Product) -> None:
    many = {"tool": "mock_md", "inputs": {"duration_s": 0}, "repeat": 20_000}
    run = product.submit(product.batch("many", [many]), timeout_s=200)
    assert run["requests"] == 20_000
    product.until(run["run_id"], 3_000)
    name = run["run_id"]
    cancelled = json.loads(product.director("cancel", name, "all", "--json").stdout)
    assert set(cancelled.values()) <= {"cancelled", "finished", "stopping"}
    product.until(name, 20_000)
    (line,) = product.director("status", name, "--json").stdout.splitlines()
    assert sum(sum(director["finished"].values()) for director in json.loads(line)["directors"]) == 20_000
    assert Counter(ledgered(run).values()) == {1: 20_000}
    assert json.loads(product.director("drain", name, "--json").stdout) == {"open": 0}
    wait_until(lambda: not processes(product, "director.process"), 60, "the Directors' end")


def test_no_secret_is_kept_or_shown_anywhere(product: Product) -> None:
    run = submitted(product, "secrets")
    stack = product.stack
    client = stack.environment(stack.facility)["GLOBUS_COMPUTE_CLIENT_SECRET"]
    exchange = product.secret.read_text().strip()
    token = run_token(SecretStr(exchange), run["run_id"]).get_secret_value()
    secrets = (client, exchange, token)
    lines = stack.facility_processes()
    assert not [line for line in lines.values() if any(secret in line for secret in secrets)]
    # Not the endpoint, which has to log in, nor the shell that it starts, which forgets what it was given.
    kinds = ("process_worker_pool", "spawn_main", "director.process", "guard.py")
    for kind in kinds:
        pids = [pid for pid, line in lines.items() if kind in line and "bash" not in line]
        assert pids, f"no {kind}: {lines}"
        for pid in pids:
            environment = Path(f"/proc/{pid}/environ").read_text(errors="replace")
            assert not [secret for secret in secrets if secret in environment], kind
    kept = [product.folder / ".md-director", Path(run["run_folder"]), stack.facility.home / ".globus_compute"]
    for path in (path for folder in kept for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path
    product.director("close", run["run_id"])
