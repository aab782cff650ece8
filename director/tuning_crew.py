"""Measuring how fast a node is when it is shared out in some way: processes are pinned as workers are, and run at once.

What is measured is a Request of the user's, by its own Tool, with its reports. It is prepared once: a first process
builds it and saves it, and the others go on from there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partitions import mps
from partitions.bindings import Owned, worker_environment

WARM_S = 0.3
"""How long all run together before it counts; Tools say for the first time how far they are after about a second."""
END_S = 20.0

_Sample = tuple[float, float]


class MeasureError(RuntimeError):
    """Something could not be measured. The message says why."""


@dataclass(frozen=True)
class Work:
    """What is run.

    Attributes:
        tool: The Tool's name.
        inputs: The inputs of a rehearsal.
        files: For each input that names a user's file, where it lies.
    """

    tool: str
    inputs: Mapping[str, Any]
    files: Mapping[str, Path] = field(default_factory=dict)


def done_by(samples: Sequence[_Sample], at: float) -> float:
    """How much was done at a time, between the times at which a process said how much.

    Args:
        samples: Times and amounts, in their order; the first is before that time, and the last is not.
        at: The time.
    """
    index = bisect_right([time_s for time_s, _ in samples], at)
    if index == len(samples):
        return samples[-1][1]
    (before, less), (after, more) = samples[index - 1], samples[index]
    return less + (more - less) * (at - before) / (after - before)


def throughput(of_each: Sequence[Sequence[_Sample]], begin: float, end: float) -> float:
    """What processes did together between two times, per second; see `done_by`."""
    return sum(done_by(samples, end) - done_by(samples, begin) for samples in of_each) / (end - begin)


class _Probe:
    """A process of `director.tuning_probe`, and what it says."""

    def __init__(self, environment: Mapping[str, str], news: threading.Condition) -> None:
        self._news = news
        self._process = subprocess.Popen(
            [sys.executable, "-m", "director.tuning_probe"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            process_group=0,  # out of reach of a terminal's Ctrl-C: it ends with its standard input
        )
        self.samples: list[_Sample] = []
        self.ended: dict[str, Any] | None = None
        threading.Thread(target=self._listen, name="tuning-probe", daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        for line in self._process.stdout:
            said = json.loads(line)
            with self._news:
                if "ended" in said:
                    self.ended = said
                else:
                    self.samples.append((said["at"], said["amount"]))
                self._news.notify_all()
        with self._news:
            self.ended = {"ended": "failed", "reason": f"its process ended with code {self._process.wait()}"}
            self._news.notify_all()

    def order(self, order: Mapping[str, Any]) -> None:
        if not order.get("stop"):
            self.samples, self.ended = [], None
        try:
            assert self._process.stdin is not None  # noqa: S101  (it was asked for)
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.ended = {"ended": "failed", "reason": f"its process ended with code {self._process.wait()}"}

    @property
    def failure(self) -> str | None:
        return str(self.ended["reason"]) if self.ended and self.ended["ended"] == "failed" else None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


class Crew:
    """The processes that run what is measured. They are kept between measurements, since they take time to start.

    Args:
        work: What is run.
        folder: For their files; of this node, and empty.
        environment: That of this process.
    """

    def __init__(self, work: Work, folder: Path, environment: Mapping[str, str]) -> None:
        self._work = work
        self._folder = folder
        self._environment = dict(environment)
        self._news = threading.Condition()
        self._idle: dict[tuple[str | None, bool], list[_Probe]] = {}
        self._all: list[_Probe] = []
        self._count = 0

    @property
    def _prepared(self) -> Path:
        return self._folder / "prepared"

    def prepare(self, owned: Owned, within_s: float) -> None:
        """Builds what is run, once.

        Args:
            owned: What the process that does so owns: all that there is.
            within_s: How long it may take, in s.

        Raises:
            MeasureError: If it fails, or takes longer.
        """
        (probe,) = self._probes([owned], {})
        probe.order(self._order(owned, self._prepared, prepare=True))
        with self._news:
            self._news.wait_for(lambda: probe.ended is not None, timeout=within_s)
        if probe.ended is None:
            raise MeasureError(f"it took longer than {within_s:.0f} s to build, and nothing could be measured")
        if probe.failure:
            raise MeasureError(f"it cannot be built: {probe.failure}")
        self._give_back([owned], [probe], {})

    def measure(self, owned: Sequence[Owned], *, window_s: float, within_s: float, shared_by_mps: bool) -> float:
        """Runs as many at once as own something, and measures.

        Args:
            owned: What each of them owns.
            window_s: How long it is measured, in s.
            within_s: How long they may take until all of them run, in s.
            shared_by_mps: Whether they use accelerators through NVIDIA's MPS.

        Returns:
            What they do together, in the Tool's unit of work per second.

        Raises:
            MeasureError: If one of them fails, or does not run in time.
        """
        with self._sharing(shared_by_mps) as variables:
            probes = self._probes(owned, variables)
            folders = []
            for probe, mine in zip(probes, owned, strict=True):
                self._count += 1
                folders.append(self._folder / f"run-{self._count}")
                shutil.copytree(self._prepared, folders[-1], copy_function=os.link)
                probe.order(self._order(mine, folders[-1], prepare=False))
            try:
                return self._measure(probes, window_s, within_s)
            finally:
                self._stop(probes)
                self._give_back(owned, probes, variables)
                for folder in folders:
                    shutil.rmtree(folder, ignore_errors=True)

    def _measure(self, probes: Sequence[_Probe], window_s: float, within_s: float) -> float:
        self._wait(probes, lambda: all(probe.samples for probe in probes), within_s, "begun to run")
        begin = time.monotonic() + WARM_S
        end = begin + window_s
        # A step of a large system may take longer than the window.
        patience_s = WARM_S + window_s + within_s
        self._wait(probes, lambda: all(probe.samples[-1][0] >= end for probe in probes), patience_s, "done a step")
        figure = throughput([list(probe.samples) for probe in probes], begin, end)
        if not figure > 0:
            raise MeasureError("nothing was done while it was measured")
        return figure

    def _wait(self, probes: Sequence[_Probe], enough: Any, within_s: float, what: str) -> None:
        def failed() -> str | None:
            return next((probe.failure for probe in probes if probe.failure), None)

        with self._news:
            if not self._news.wait_for(lambda: failed() or enough(), timeout=within_s):
                raise MeasureError(f"after {within_s:.0f} s not all {len(probes)} of them had {what}")
        if reason := failed():
            raise MeasureError(reason)

    def _stop(self, probes: Sequence[_Probe]) -> None:
        for probe in probes:
            if probe.ended is None:
                probe.order({"stop": True})
        with self._news:
            self._news.wait_for(lambda: all(probe.ended is not None for probe in probes), timeout=END_S)

    def _order(self, owned: Owned, folder: Path, *, prepare: bool) -> dict[str, Any]:
        return {
            "tool": self._work.tool,
            "inputs": dict(self._work.inputs),
            "inputs_files": {name: str(path) for name, path in self._work.files.items()},
            "folder": str(folder),
            "cores": list(owned.cores),
            "threads": owned.threads,
            "accelerator": owned.accelerator,
            "prepare": prepare,
        }

    def _probes(self, owned: Sequence[Owned], variables: Mapping[str, str]) -> list[_Probe]:
        """Idle processes, and new ones where there are none. A process cannot change its accelerator."""
        probes = []
        for mine in owned:
            idle = self._idle.setdefault((mine.accelerator, bool(variables)), [])
            if idle and not variables:
                probes.append(idle.pop())
                continue
            environment = {**self._environment, **worker_environment(mine), **variables}
            probes.append(_Probe(environment, self._news))
            self._all.append(probes[-1])
        return probes

    def _give_back(self, owned: Sequence[Owned], probes: Sequence[_Probe], variables: Mapping[str, str]) -> None:
        for mine, probe in zip(owned, probes, strict=True):
            if variables or probe.ended is None or probe.failure:
                self._all.remove(probe)
                probe.close()
            else:
                self._idle[mine.accelerator, False].append(probe)

    @contextlib.contextmanager
    def _sharing(self, wanted: bool) -> Any:
        """NVIDIA's MPS, while it is wanted; gives what is to be added to the environment of those that use it."""
        if not wanted:
            yield {}
            return
        folder = self._folder / f"mps-{self._count}"
        folder.mkdir(mode=0o700)
        variables = mps.start(self._environment, folder)
        if not variables:
            raise MeasureError(f"{mps.PROGRAM} could not be started")
        try:
            yield variables
        finally:
            mps.stop({**self._environment, **variables})

    def close(self) -> None:
        """Ends all processes. May be called twice."""
        for probe in self._all:
            probe.close()
        self._all.clear()
        self._idle.clear()
