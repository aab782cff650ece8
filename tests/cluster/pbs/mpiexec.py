"""Starts a command on nodes of a PBS job, as the ``mpiexec`` of HPE's PALS does.

It refuses options that it does not know. What it starts has its environment, working folder and output. When one rank
fails, or it gets a signal, it ends the others; its exit code is that of the first that failed.

usage: mpiexec FOLDER [options] COMMAND...
"""

from __future__ import annotations

import getopt
import os
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from wire import Channel, failure

VERSION = "PALS mpiexec version 1.2.12 revision 0 (stand-in)"
LONG = ["version", "np=", "ppn=", "hosts=", "cpu-bind=", "line-buffer", "env=", "envall"]
USAGE = (
    "usage: mpiexec [-n|--np N] [--ppn N] [--hosts A,B] [--cpu-bind HOW] [--line-buffer] [--env N=V] [--envall] command"
)
KILL_DELAY_S = 2.0

Ended = tuple[int, int]  # a rank, or one less than the first for a signal to this process; and its exit code
SIGNALLED = -1


@dataclass
class Rank:
    """One process of the command."""

    host: str
    environment: dict[str, str]


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    values, command = parse(sys.argv[2:])
    if "--version" in values:
        sys.stdout.write(f"{VERSION}\n")
        return
    if "PBS_JOBID" not in os.environ or "PBS_NODEFILE" not in os.environ:
        raise failure("not in a PBS job", 1)
    hosts = list(dict.fromkeys(Path(os.environ["PBS_NODEFILE"]).read_text().split()))
    sys.exit(Application(folder, os.environ["PBS_JOBID"], command).run(place(values, hosts)))


def parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Reads the command line: options, and the command."""
    try:
        options, command = getopt.getopt(arguments, "n:", LONG)
    except getopt.GetoptError as error:
        raise failure(f"{error}\n{USAGE}", 1) from None
    for option, value in options:
        if option == "--env":
            name, _, text = value.partition("=")
            os.environ[name] = text
    values = {"--np" if option == "-n" else option: value for option, value in options}
    if not command and "--version" not in values:
        raise failure(f"no command\n{USAGE}", 1)
    return values, command


def place(values: dict[str, str], hosts: list[str]) -> list[Rank]:
    """Says where each rank runs: the first host is filled first."""
    chosen = values["--hosts"].split(",") if "--hosts" in values else hosts
    for host in chosen:
        if host not in hosts:
            raise failure(f"host {host} is not in the job", 1)
    per_host = int(values.get("--ppn", 1))
    total = int(values.get("--np", len(chosen) * per_host))
    if total > len(chosen) * per_host:
        raise failure(f"{total} ranks do not fit on {len(chosen)} hosts with {per_host} each", 1)
    return [
        Rank(
            chosen[rank // per_host],
            {
                "PALS_RANKID": str(rank),
                "PALS_NODEID": str(rank // per_host),
                "PALS_LOCAL_RANKID": str(rank % per_host),
                "PMI_RANK": str(rank),
                "PMI_SIZE": str(total),
            },
        )
        for rank in range(total)
    ]


class Application:
    """The command, on all its nodes."""

    def __init__(self, folder: Path, job: str, command: list[str]) -> None:
        self._folder = folder
        self._job = job
        self._command = command
        self._running: dict[int, Channel] = {}
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()

    def run(self, ranks: list[Rank]) -> int:
        """Runs it, and returns the exit code."""
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, self._signalled)
        for number, rank in enumerate(ranks):
            self._start(number, rank)
        code = 0
        kill_at: float | None = None
        while self._running:
            ended = self._next(kill_at)
            if ended is None:
                self._signal(signal.SIGKILL)
                kill_at = None
                continue
            rank_number, status = ended
            self._running.pop(rank_number, None)
            if status and not code:
                code, kill_at = status, time.monotonic() + KILL_DELAY_S
                self._signal(signal.SIGTERM)
        return code

    def _next(self, kill_at: float | None) -> Ended | None:
        """Waits for the end of a rank or a signal; None when patience is over."""
        try:
            return self._ended.get(timeout=None if kill_at is None else max(0.0, kill_at - time.monotonic()))
        except queue.Empty:
            return None

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._ended.put((SIGNALLED, 128 + number))

    def _signal(self, number: signal.Signals) -> None:
        for channel in self._running.values():
            channel.send({"signal": number})

    def _start(self, number: int, rank: Rank) -> None:
        try:
            channel = Channel.to(self._folder, rank.host)
        except OSError as error:
            raise failure(f"{rank.host} cannot be reached: {error}", 1) from None
        request = {
            "do": "spawn",
            "job": self._job,
            "argv": self._command,
            "environment": {**os.environ, **rank.environment},
            "cwd": str(Path.cwd()),
        }
        with Path(os.devnull).open("rb") as null:
            channel.send(request, [null.fileno(), 1, 2])
        self._running[number] = channel
        threading.Thread(target=self._wait, args=(number, rank, channel), daemon=True).start()

    def _wait(self, number: int, rank: Rank, channel: Channel) -> None:
        """Waits for the end of one rank."""
        why = f"{rank.host} was lost"
        while (received := channel.receive()) is not None:
            message = received[0]
            if "status" in message:
                status = int(message["status"])
                self._ended.put((number, status if status >= 0 else 128 - status))
                return
            if "error" in message:
                why = f"{rank.host}: {message['error']}"
                break
        sys.stderr.write(f"mpiexec: {why}\n")
        sys.stderr.flush()
        self._ended.put((number, 1))


if __name__ == "__main__":
    main()
