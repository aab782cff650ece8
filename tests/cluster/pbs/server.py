"""The server of PBS: queues jobs, gives them nodes, runs their scripts and ends them.

Each job has whole nodes, one chunk on each. Jobs start in the order in which they came. Nothing is ever requeued.

usage: server.py FOLDER CPUS NODE...
"""

from __future__ import annotations

import itertools
import os
import secrets
import select
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wire import FINISHED_JOB, SERVER, UNKNOWN_JOB, Channel, Message, serve

POLL_S = 0.2
KILL_DELAY_S = 2.0  # 10 in PBS, if not configured
LOST = -1
SIGNALLED = 256  # added to the signal that ended a script


@dataclass
class Job:
    """One job. What `qsub` sent, and what became of it."""

    id: str
    name: str
    queue: str
    account: str | None
    script: str
    shell: str
    output: str
    error: str
    variables: dict[str, str]
    resources: dict[str, str]
    nodect: int
    ncpus: int
    mpiprocs: int
    walltime_s: int | None
    tolerant: bool
    state: str = "Q"
    nodes: list[str] = field(default_factory=list)
    queued_at: float = field(default_factory=time.time)
    started_at: float | None = None
    exit_status: int | None = None
    deleted: bool = False

    def describe(self) -> dict[str, Any]:
        """As ``qstat -f -F json`` shows it."""
        total = self.nodect * self.ncpus
        shown: dict[str, Any] = {
            "Job_Name": self.name,
            "Job_Owner": f"{self.variables['PBS_O_LOGNAME']}@{self.variables['PBS_O_HOST']}",
            "job_state": self.state,
            "queue": self.queue,
            "server": "login",
            "ctime": _date(self.queued_at),
            "qtime": _date(self.queued_at),
            "Error_Path": f"login:{self.error}",
            "Output_Path": f"login:{self.output}",
            "Resource_List": {
                "mpiprocs": self.nodect * self.mpiprocs,
                "ncpus": total,
                "nodect": self.nodect,
                "place": "free",
                **self.resources,
            },
            "Variable_List": self.variables,
        }
        if self.account is not None:
            shown["Account_Name"] = self.account
        if self.started_at is not None:
            slots = "" if self.ncpus == 1 else f"*{self.ncpus}"
            shown["exec_host"] = "+".join(f"{node}/0{slots}" for node in self.nodes)
            shown["exec_vnode"] = "+".join(f"({node}:ncpus={self.ncpus})" for node in self.nodes)
            shown["stime"] = _date(self.started_at)
        if self.exit_status is not None:
            shown["Exit_status"] = self.exit_status
        return shown


def _date(at: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(at))


class Server:
    """The daemon.

    Args:
        folder: The cluster's.
        cpus: How many processors each node has.
        nodes: All nodes.
    """

    def __init__(self, folder: Path, cpus: int, nodes: list[str]) -> None:
        self._folder = folder
        self._cpus = cpus
        self._nodes = nodes
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._changed = threading.Event()
        threading.Thread(target=self._schedule, daemon=True).start()

    def handle(self, channel: Channel) -> None:
        """Answers one request."""
        if (received := channel.receive()) is not None:
            message = received[0]
            channel.send(
                {"submit": self._submit, "status": self._status, "delete": self._delete}[message["do"]](message)
            )

    def _submit(self, message: Message) -> Message:
        wanted = message["job"]
        if wanted["ncpus"] > self._cpus or wanted["nodect"] > len(self._nodes):
            return {"error": "Job exceeds queue and/or server resource limits"}
        identity = f"{next(self._numbers)}.login"
        output = (
            wanted["output"] or f"{wanted['variables']['PBS_O_WORKDIR']}/{wanted['name']}.o{identity.split('.')[0]}"
        )
        error = wanted["error"] or output.replace(".o", ".e")
        self._jobs[identity] = Job(**{**wanted, "id": identity, "output": output, "error": error})
        self._changed.set()
        return {"id": identity}

    def _status(self, message: Message) -> Message:
        job = self._jobs.get(message["id"])
        if job is None:
            return {"error": UNKNOWN_JOB}
        if job.state == "F" and not message["history"]:
            return {"error": FINISHED_JOB}
        return {"job": job.describe()}

    def _delete(self, message: Message) -> Message:
        job = self._jobs.get(message["id"])
        if job is None:
            return {"error": UNKNOWN_JOB}
        if job.state == "F":
            return {"error": FINISHED_JOB}
        job.deleted = True
        return {}

    def _schedule(self) -> None:
        """Starts jobs, for ever."""
        while True:
            self._changed.wait(POLL_S if any(job.state == "Q" for job in list(self._jobs.values())) else None)
            self._changed.clear()
            waiting = [job for job in list(self._jobs.values()) if job.state == "Q"]
            for job in waiting:
                if job.deleted:
                    job.state = "F"
            self._start_next([job for job in waiting if not job.deleted])

    def _start_next(self, waiting: list[Job]) -> None:
        """Starts the first of the waiting jobs, if there are nodes for it."""
        if waiting and len(free := self._free()) >= waiting[0].nodect:
            job = waiting[0]
            job.nodes, job.state, job.started_at = free[: job.nodect], "R", time.time()
            threading.Thread(target=self._run, args=(job,), daemon=True).start()
            self._changed.set()  # perhaps the next one can start, too

    def _free(self) -> list[str]:
        busy = {node for job in self._jobs.values() if job.state in "RE" for node in job.nodes}
        return [node for node in self._nodes if node not in busy and self._answers(node)]

    def _answers(self, node: str) -> bool:
        try:
            Channel.to(self._folder, node).close()
        except OSError:
            return False
        return True

    def _run(self, job: Job) -> None:
        run = Run(self._folder, job)
        try:
            job.exit_status = run.run()
        except OSError:
            job.exit_status = LOST
        finally:
            job.state = "E"
            run.end()
            job.state = "F"
            self._changed.set()


class Run:
    """One job that runs."""

    def __init__(self, folder: Path, job: Job) -> None:
        self._folder = folder
        self._job = job
        self._nodefile = folder / "pbs" / job.id
        self._script = folder / "pbs" / f"{job.id}.SC"
        self._joined: list[Channel] = []
        self._asked_to_end_at: float | None = None

    def run(self) -> int:
        """Runs the job's script on its first node, and returns how it ended.

        Raises:
            OSError: If a node is lost before the script is started.
        """
        job = self._job
        vnodes = [node for node in job.nodes for _ in range(job.mpiprocs)]
        self._nodefile.write_text("".join(f"{node}\n" for node in vnodes))
        self._script.write_text(job.script)
        Path(job.output).touch(0o600)
        for index, node in enumerate(job.nodes):
            self._join(node, vnodes, {**self._environment(), "PBS_NODENUM": str(index)})
        return self._watch(self._start())

    def end(self) -> None:
        """Ends what is left of the job on all nodes: each mom does so when its connection closes."""
        for channel in self._joined:
            channel.close()
        self._nodefile.unlink(missing_ok=True)
        self._script.unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        job = self._job
        return {
            **job.variables,
            "PBS_JOBNAME": job.name,
            "PBS_JOBID": job.id,
            "PBS_QUEUE": job.queue,
            "PBS_JOBCOOKIE": secrets.token_hex(16),
            "NCPUS": str(job.ncpus),
            "OMP_NUM_THREADS": str(job.ncpus),
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "ENVIRONMENT": "BATCH",
        }

    def _join(self, node: str, vnodes: list[str], environment: dict[str, str]) -> None:
        channel = Channel.to(self._folder, node)
        self._joined.append(channel)
        channel.send(
            {
                "do": "join",
                "job": self._job.id,
                "vnodes": vnodes,
                "environment": environment,
                "output": self._job.output,
            }
        )
        if channel.receive() is None:
            raise ConnectionError(f"{node} was lost")

    def _start(self) -> Channel:
        job = self._job
        channel = Channel.to(self._folder, job.nodes[0])
        request = {
            "do": "spawn",
            "job": job.id,
            "argv": [job.shell, str(self._script)],
            # Only the script is told of the file: tasks that are started from it are not.
            "environment": {"PBS_NODEFILE": str(self._nodefile)},
        }
        with Path(os.devnull).open("rb") as null, Path(job.output).open("ab") as out, Path(job.error).open("ab") as err:
            channel.send(request, [null.fileno(), out.fileno(), err.fileno()])
        return channel

    def _watch(self, script: Channel) -> int:
        """Waits for the end of the script, brings it about where it must be, and returns the exit status."""
        while True:
            ready, _, _ = select.select([script, *self._joined], [], [], POLL_S)
            for channel in ready:
                if channel is not script and channel.receive() is None:
                    self._lose(channel, script)
            if script in ready:
                message = (script.receive() or ({"error": "the node was lost"}, []))[0]
                if "error" in message:
                    return LOST
                if "status" in message:
                    status = int(message["status"])
                    return status if status >= 0 else SIGNALLED - status
            self._end_in_time(script)

    def _lose(self, channel: Channel, script: Channel) -> None:
        """A node is gone. A job that was not submitted as tolerant of that is ended."""
        self._joined.remove(channel)
        channel.close()
        if not self._job.tolerant:
            script.send({"signal": signal.SIGKILL})

    def _end_in_time(self, script: Channel) -> None:
        """Ends the script if the job was deleted or had its time: first politely."""
        job, now = self._job, time.time()
        assert job.started_at is not None
        late = job.walltime_s is not None and now - job.started_at > job.walltime_s
        if not (job.deleted or late):
            return
        if self._asked_to_end_at is None:
            self._asked_to_end_at = now
            script.send({"signal": signal.SIGTERM})
        elif now - self._asked_to_end_at > KILL_DELAY_S:
            script.send({"signal": signal.SIGKILL})


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    serve(FOLDER, SERVER, Server(FOLDER, int(sys.argv[2]), sys.argv[3:]).handle)
