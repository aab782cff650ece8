"""The daemon of PBS on a node: starts and ends the tasks of jobs.

It knows a job from the time when the server has told it of the job, and as long as the server holds that connection.
One that was started again knows none: a node that came back has no part any more in a job that runs, as in OpenPBS.

usage: mom.py FOLDER
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from wire import Channel, Message, module_environment, serve, start

KILL_S = 5.0


@dataclass
class Job:
    """What the server says of a job, and its tasks on this node.

    Attributes:
        vnodes: The host of each of its ranks.
        environment: What is set in each of its tasks.
        output: Where a task's output goes if it has no place of its own.
        sessions: Sessions of its tasks.
    """

    vnodes: list[str]
    environment: dict[str, str]
    output: str
    sessions: set[int] = field(default_factory=set)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


class Mom:
    """The daemon."""

    def __init__(self, folder: Path) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._environment = {**os.environ, **module_environment(folder)}
        self._environment["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"

    def handle(self, channel: Channel) -> None:
        """Does what one connection asks for."""
        received = channel.receive()
        if received is None:
            return
        message, files = received
        try:
            {"join": self._join, "info": self._info, "spawn": self._spawn}[message["do"]](channel, message, files)
        finally:
            for file in files:
                os.close(file)

    def _join(self, channel: Channel, message: Message, files: list[int]) -> None:
        """Takes part in a job until the server closes the connection, then ends its tasks."""
        job = Job(message["vnodes"], message["environment"], message["output"])
        with self._lock:
            self._jobs[message["job"]] = job
        channel.send({})
        while channel.receive() is not None:
            pass
        with self._lock:  # from here on nobody starts a task
            del self._jobs[message["job"]]
        for session in job.sessions:
            end_session(session)

    def _info(self, channel: Channel, message: Message, files: list[int]) -> None:
        job = self._jobs.get(message["job"])
        channel.send({"vnodes": job.vnodes} if job else {"error": "job is not known"})

    def _spawn(self, channel: Channel, message: Message, files: list[int]) -> None:
        """Runs a task and tells how it ended. If nobody wants to know any more, it goes on nevertheless."""
        try:
            process = self._start(message, files)
        except (KeyError, OSError) as error:
            text = "job is not known" if isinstance(error, KeyError) else str(error)
            channel.send({"error": text})
            return
        for file in files:  # whoever reads the task's output waits for its end, not for ours
            os.close(file)
        files.clear()
        channel.send({"task": process.pid})
        threading.Thread(target=_signals, args=(channel, process), daemon=True).start()
        channel.send({"status": process.wait()})  # negative: the signal that ended it

    def _start(self, message: Message, files: list[int]) -> subprocess.Popen[bytes]:
        with self._lock:
            job = self._jobs[message["job"]]
            environment = {
                **self._environment,
                **job.environment,
                "PBS_TASKNUM": f"{next(job.numbers):08X}",
                **message.get("environment", {}),
            }
            home = environment.get("HOME", "/")
            with contextlib.ExitStack() as opened:
                if not files:  # PBS has the output of tasks in that of the job, and gives them no input
                    null = opened.enter_context(Path(os.devnull).open("rb"))
                    output = opened.enter_context(Path(job.output).open("ab"))
                    files = [null.fileno(), output.fileno(), output.fileno()]
                process = start(message["argv"], environment, message.get("cwd", home), files)
            job.sessions.add(process.pid)
            return process


def _signals(channel: Channel, process: subprocess.Popen[bytes]) -> None:
    """Passes on signals to a task until nobody sends any."""
    while (received := channel.receive()) is not None:
        for pid in session_pids(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, received[0]["signal"])


def session_pids(session: int) -> list[int]:
    """The processes of a session, without zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            if entry.name.isdigit():
                state, _, _, sid = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(sid) == session and state not in "ZX":
                    found.append(int(entry.name))
    return found


def end_session(session: int) -> None:
    """Kills all processes of a session, those too that are started meanwhile."""
    give_up = time.monotonic() + KILL_S
    while (pids := session_pids(session)) and time.monotonic() < give_up:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    serve(FOLDER, socket.gethostname(), Mom(FOLDER).handle)
