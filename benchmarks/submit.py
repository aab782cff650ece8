"""How long it takes from the laptop to the first Outcome, and for a call, beside a bare call of Globus Compute."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import IO, Any

import endpoint_templates
from benchmarks.table import Row, at_least, at_most, spread
from director.sites.embedded import engine_environment, this_environment
from tests.cluster.cluster import require
from tests.cluster.machine import ClusterError
from tests.cluster.namespaces import HostProcess
from tests.globus import endpoints
from tests.globus.broker import PROGRAMS, SERVER
from tests.globus.product import Product
from tests.globus.stack import Stack

HERE = Path(__file__).resolve().parent
ROUNDS = 5
CALLS = 40
OPTIONS = {"directors": 2, "nodes": 2}
START_BAR = 1.5
CALL_BAR = 10.0
MOST_S = 180.0

Times = dict[str, Any]


def _laptop(*words: str) -> list[str]:
    """The command of a fresh process of `in_laptop`; by its path, since it may run as another user and elsewhere."""
    return [sys.executable, str(HERE / "in_laptop.py"), *words]


def _line(stream: IO[str] | None, errors: Path) -> Times:
    line = stream.readline() if stream else ""
    if not line:
        raise RuntimeError(f"a benchmark's process has ended: {errors.read_text()[-3000:]}")
    return dict(json.loads(line))


@contextlib.contextmanager
def _bounded(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kills a process after a while, whatever it waits for, and when the block ends."""
    timer = threading.Timer(MOST_S, process.kill)
    timer.start()
    with process:
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def _since(begin: float, times: Times) -> Times:
    return {name: value - begin if isinstance(value, float) else value for name, value in times.items()}


def _medians(found: Sequence[Times], names: Mapping[str, str]) -> str:
    """Where the time goes: the median of the time at which each thing was there."""
    parts = (f"{text} {statistics.median(times[name] for times in found):.2f}" for name, text in names.items())
    return ", ".join(parts)


def _compared(what: str, ours: Sequence[Times], theirs: Sequence[Times], *, bar: float) -> Row:
    mine, other = ([times["first"] for times in found] for found in (ours, theirs))
    return at_most(what, spread(mine), spread(other), statistics.median(mine) / statistics.median(other), bar)


# ---- without the service


def embedded(folder: Path) -> list[Row]:
    """From nothing to the first Outcome of two Directors in an engine, against one call of the same engine, bare."""
    _write_template(folder)
    pairs = [(_here(folder, "embedded", f"o{i}"), _here(folder, "engine", f"b{i}")) for i in range(ROUNDS)]
    ours, theirs = zip(*pairs, strict=True)
    what = "embedded Site, from a fresh process to the first Outcome; bare GlobusComputeEngine to the first result (s)"
    mine = {"imported": "imports", "answered": "both Directors answer", "first": "Outcome"}
    bare = {"imported": "imports", "started": "engine started", "first": "result"}
    return [
        _compared(what, ours, theirs, bar=START_BAR),
        Row("  what was there when, medians (s)", _medians(ours, mine), _medians(theirs, bare)),
    ]


def _write_template(folder: Path) -> None:
    """What an endpoint's folder would have: the template and its schema."""
    template = endpoint_templates.find("local")
    given = this_environment()
    (folder / "template.yaml.j2").write_text(template.text(given))
    (folder / "schema.json").write_text(json.dumps(template.schema(given)))


def _here(folder: Path, what: str, name: str) -> Times:
    """Runs a process of `in_laptop`; returns after how long each thing was there, in s."""
    place = folder / name
    if what == "engine":
        place.mkdir()
        for file in ("template.yaml.j2", "schema.json"):
            shutil.copy(folder / file, place)
    errors = folder / f"{name}.err"
    environment = engine_environment(os.environ, Path(this_environment()["environment"]))
    with errors.open("w") as err:
        begin = time.monotonic()
        process = subprocess.Popen(
            _laptop(what, str(place), json.dumps(OPTIONS)),
            stdout=subprocess.PIPE, stderr=err, text=True, cwd=HERE.parent, env=environment,
        )  # fmt: skip
    with _bounded(process):
        times = _since(begin, _line(process.stdout, errors))
        process.wait()
    return times


# ---- with all of Globus Compute but the cloud


def _possible(measure: Callable[[Path], list[Row]]) -> Callable[[Path], list[Row]]:
    """Says so, instead of measuring, where there can be no stack."""

    @wraps(measure)
    def measured(folder: Path) -> list[Row]:
        try:
            require(slurm=False)
        except ClusterError as error:
            return [Row(f"{measure.__name__}: not measured, {error}", "", "")]
        if not shutil.which(SERVER, path=PROGRAMS):
            return [Row(f"{measure.__name__}: not measured, there is no {SERVER}. apt-get install {SERVER}", "", "")]
        return measure(folder)

    return measured


@_possible
def full_stack(folder: Path) -> list[Row]:
    """From `director submit` to the first Outcome, against a bare SDK call; then calls of both, one at a time."""
    with Stack(folder / "s", endpoints.local) as stack, Product(stack) as product:
        laptop = _Laptop(stack, product)
        laptop.sdk("warm-up")  # tokens and compiled modules are there from now on
        pairs = [(laptop.submit(f"o{index}"), laptop.sdk(f"b{index}")) for index in range(ROUNDS)]
        found = laptop.calls()
    ours, theirs = zip(*pairs, strict=True)
    what = "from `director submit` to the first Outcome at a watcher; bare SDK call, cold user endpoint (s)"
    mine = {"noted": "run recorded", "first": "Outcome", "returned": "`director submit` returns"}
    return [
        _compared(what, ours, theirs, bar=START_BAR),
        Row("  what was there when, medians (s)", _medians(ours, mine), _medians(theirs, {"imported": "imports"})),
        _call_row("status of two Directors; no-op by the SDK, all warm (ms)", found["status"], found["sdk"]),
        _call_row("no-op Request, journaled; no-op by the SDK, all warm (ms)", found["run"], found["sdk"]),
    ]


def _call_row(what: str, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    mine, other = ([1000 * seconds for seconds in found] for found in (ours, theirs))
    ratio = statistics.median(other) / statistics.median(mine)
    return at_least(f"one at a time: {what}", spread(mine, 1), spread(other, 1), ratio, CALL_BAR)


class _Laptop:
    """Whoever submits, in fresh processes, from a home where a login is kept.

    Args:
        stack: Where.
        product: Its user.
    """

    def __init__(self, stack: Stack, product: Product) -> None:
        self._stack = stack
        self._product = product
        self._errors = stack.folder / "laptop.err"

    def sdk(self, name: str) -> Times:
        """One call by the SDK, with a user endpoint of its own."""
        begin = time.monotonic()
        with _bounded(self._start("sdk", self._stack.endpoint_id, self._options(name))) as process:
            times = self._told(process)
            process.wait()
        self._clear()
        return _since(begin, times)

    def submit(self, name: str) -> Times:
        """One batch by ``director submit``, and a watcher that is there before."""
        batch = self._product.batch(name, [{"tool": "mock_md", "inputs": {"duration_s": 0.0}}], nodes=OPTIONS["nodes"])
        with _bounded(self._start("watcher", str(self._product.folder / ".md-director"))) as watcher:
            self._told(watcher)
            begin = time.monotonic()
            self._product.submit(batch)
            returned = time.monotonic()
            times = self._told(watcher)
            watcher.wait()
        self._product.director("close", times["run"])
        self._clear()
        return _since(begin, {**times, "returned": returned})

    def calls(self) -> dict[str, list[float]]:
        """Latencies of calls, in s, to Directors and by the SDK."""
        run = self._product.submit(self._product.batch("calls", [{"tool": "mock_md", "inputs": {"duration_s": 0.0}}]))
        words = ("calls", run["run_id"], self._stack.endpoint_id, self._options("calls"), str(CALLS))
        with _bounded(self._start(*words)) as process:
            found = self._told(process)
            process.wait()
        return found

    def _options(self, name: str) -> str:
        return json.dumps({**OPTIONS, "run_id": name})

    def _start(self, *words: str) -> HostProcess:
        with self._errors.open("a") as errors:
            return self._stack.popen_as_user(
                _laptop(*words),
                home=self._product.folder,
                environment=self._product.environment(),
                stdout=subprocess.PIPE,
                stderr=errors.fileno(),
            )

    def _told(self, process: subprocess.Popen[str]) -> Times:
        try:
            return _line(process.stdout, self._errors)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self._stack.log()}") from None

    def _clear(self) -> None:
        """Ends the user endpoint: the next has the machine for itself."""
        self._stack.kill_user_endpoint(signal.SIGTERM)
