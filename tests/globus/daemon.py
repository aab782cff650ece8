"""A daemon in the login host of a cluster that listens on a port of the loopback interface there."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.namespaces import HostProcess

LISTENING = "0A"
STOP_S = 30.0


class DaemonError(RuntimeError):
    """A daemon did not start, or ended by itself."""


class Daemon:
    """A daemon.

    Args:
        cluster: Where it runs.
        name: Its name in messages.
        command: Program and arguments. It stays in the foreground.
        port: Where it listens when it is ready.
        log: Where its output goes.
        environment: What to add to the environment.
        cwd: Where it runs.
        start_s: How long it may take to be ready, in s.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        command: Sequence[str],
        port: int,
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        start_s: float = 60.0,
    ) -> None:
        self.name = name
        self.log = log
        self._cluster = cluster
        self._command = command
        self._port = port
        self._environment = environment
        self._cwd = cwd
        self._start_s = start_s
        self._process: HostProcess | None = None

    def launch(self) -> None:
        """Starts it, and does not wait until it is ready."""
        if self._process is not None:
            raise DaemonError(f"{self.name} runs already")
        with self.log.open("a") as stream:
            self._process = self._cluster.popen(
                "login",
                self._command,
                environment=self._environment,
                cwd=self._cwd,
                stdout=stream.fileno(),
                stderr=stream.fileno(),
            )

    def await_ready(self) -> None:
        """Waits until it listens.

        Raises:
            DaemonError: If it ends before, or takes too long. It tells what the daemon has printed.
        """
        give_up = time.monotonic() + self._start_s
        while not self.listens():
            if self._process is None or self._process.poll() is not None:
                raise DaemonError(f"{self.name} ended before it listened:\n{self.tail()}")
            if time.monotonic() > give_up:
                raise DaemonError(f"{self.name} does not listen after {self._start_s:g} s:\n{self.tail()}")
            time.sleep(0.02)

    def start(self) -> None:
        """Starts it, and returns when it is ready."""
        self.launch()
        self.await_ready()

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """Asks it to end, and returns when it has."""
        if self._process is not None:
            self._process.send_signal(sig)
            self._process.wait(STOP_S)
            self._process = None
            give_up = time.monotonic() + STOP_S
            while self.listens():  # the kernel takes its time with the rest of a big process
                if time.monotonic() > give_up:
                    raise DaemonError(f"something still listens where {self.name} did")
                time.sleep(0.02)

    def kill(self) -> None:
        """Ends it at once."""
        self.stop(signal.SIGKILL)

    def restart(self, *, kill: bool = False) -> None:
        """Ends it, by request or at once, and starts it again."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def listens(self) -> bool:
        """Whether it listens. Looked up in the host's table of connections: nobody has to connect for it."""
        witness = min(self._cluster.pids("login"))
        wanted = f":{self._port:04X}"
        for name in ("tcp", "tcp6"):
            try:
                lines = Path(f"/proc/{witness}/net/{name}").read_text().splitlines()[1:]
            except OSError:
                continue
            if any(words[1].endswith(wanted) and words[3] == LISTENING for words in map(str.split, lines)):
                return True
        return False

    def tail(self, characters: int = 3000) -> str:
        """The end of what it has printed."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""
