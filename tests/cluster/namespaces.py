"""Hosts that are Linux namespaces on this machine: starting, entering and ending them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

KINDS = ("net", "uts", "mount", "pid")
START_S = 30.0


class HostError(RuntimeError):
    """A host did not start, or is not up."""


class Host:
    """One host. Its first process, the init, takes every other process of it along when it ends.

    Args:
        name: Its name.
        init: Script and arguments of the init. It says ``ready`` on its standard output when the host is, and reads its
            standard input, of which this process holds the other end.
        log: Where its messages go.
        environment: What its daemons find in their environment.
        inside: The host in whose namespaces the new ones nest; None for this machine.
    """

    def __init__(
        self, name: str, init: Sequence[str], log: Path, environment: Mapping[str, str], inside: Host | None = None
    ) -> None:
        self.name = name
        self._log = log
        self._said = ""
        self._depth = 1 if inside is None else 2
        new = [f"--{kind}" for kind in KINDS]
        with log.open("a") as messages:
            self._process = subprocess.Popen(
                [*(inside.enter() if inside else ()), "unshare", *new, "--fork", "--kill-child", "--mount-proc", *init],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                cwd="/",
                start_new_session=True,  # an interrupt at the terminal is for the tests: they take the cluster down
            )

    @property
    def init(self) -> int:
        """The init's process id, as seen from outside.

        Raises:
            HostError: If it has ended, or not yet begun.
        """
        pid = self._process.pid
        for _ in range(self._depth):
            children = child_pids(pid)
            if len(children) != 1:
                raise HostError(f"{self.name} is not up")
            pid = children[0]
        return pid

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def enter(self) -> list[str]:
        """The start of a command that runs the rest of it inside this host."""
        return ["nsenter", f"--target={self.init}", *(f"--{kind}" for kind in KINDS), "--"]

    def expect(self, word: str) -> None:
        """Waits until the init says a word.

        Raises:
            HostError: If it ends before, or takes too long.
        """
        assert self._process.stdout is not None
        give_up = time.monotonic() + START_S
        while word not in self._said.split():
            left = give_up - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise HostError(f"{self.name} did not say {word} within {START_S:g} s:\n{self._messages()}")
            said = os.read(self._process.stdout.fileno(), 4096)
            if not said:
                raise HostError(f"{self.name} did not start:\n{self._messages()}")
            self._said += said.decode()

    def tell(self) -> None:
        """Tells the init to go on."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: `expect` says why
            os.write(self._process.stdin.fileno(), b"\n")

    def kill(self) -> None:
        """Ends the host at once. When this returns, it has no process any more."""
        with contextlib.suppress(HostError, ProcessLookupError):
            os.kill(self.init, signal.SIGKILL)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # it was killed before it had an init
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _messages(self) -> str:
        return self._log.read_text()[-2000:].strip() or "(no message)"


class HostProcess(subprocess.Popen[str]):
    """A command that runs inside a host, in a session of its own.

    Its ``pid`` is that of the ``nsenter`` that waits for it outside. A signal goes to the command's process group.
    """

    def send_signal(self, sig: int) -> None:
        """Signals the command's process group; `kill` and `terminate` do so, too."""
        with contextlib.suppress(ProcessLookupError):
            if (leader := self.leader()) is not None:
                os.killpg(leader, sig)

    def leader(self) -> int | None:
        """The command's process id, as seen from outside; None if it has ended."""
        give_up = time.monotonic() + 5
        while self.poll() is None and time.monotonic() < give_up:
            for child in child_pids(self.pid):
                if os.getsid(child) == child:  # not before `setsid` has run
                    return child
            time.sleep(0.002)
        return None


def child_pids(pid: int) -> list[int]:
    """The children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def all_pids() -> list[int]:
    """All processes of this machine that are not zombies."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if read(pid, "stat").rpartition(")")[2].split()[:1] != ["Z"]]


def read(pid: int, what: str) -> str:
    """A file of a process under ``/proc``, with blanks between its parts; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def namespace(pid: int, kind: str = "pid") -> str:
    """Which namespace a process is in; empty if the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def pids_naming(text: str) -> list[int]:
    """Processes that name a text in their command line or environment, other than this one and its ancestors."""
    own = set()
    pid = os.getpid()
    while pid > 0:
        own.add(pid)
        pid = int(read(pid, "stat").rpartition(")")[2].split()[1])
    return [pid for pid in all_pids() if pid not in own and text in read(pid, "cmdline") + read(pid, "environ")]
