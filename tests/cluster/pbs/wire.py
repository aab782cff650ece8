"""What the parts of the PBS stand-in share: how they talk, and the environment that a facility's module would set.

Each daemon listens on a Unix socket in the cluster's folder: network namespaces do not keep such sockets apart. A
message is a line of JSON; open files may travel with it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

SERVER = "server"
MOST_FILES = 3
UNKNOWN_JOB = 15001  # PBSE_UNKJOBID; a shell sees 153 of it
FINISHED_JOB = 15139  # PBSE_HISTJOBID; 35

Message = dict[str, Any]


def address(folder: Path, name: str) -> str:
    """Where the server, or the mom of a node, listens."""
    return str(folder / "run" / f"pbs-{name}")


def module_environment(folder: Path) -> dict[str, str]:
    """What a facility's module would set, so that MPI starts processes by PBS; and MPI is let to run as root."""
    shell = str(folder / "bin" / "pbs_tmrsh")
    return {
        "HYDRA_LAUNCHER": "rsh",
        "HYDRA_LAUNCHER_EXEC": shell,
        "OMPI_MCA_plm": "rsh",
        "OMPI_MCA_plm_rsh_agent": shell,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }


class Channel:
    """One connection, over which messages go both ways."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""
        self._files: list[int] = []

    @classmethod
    def to(cls, folder: Path, name: str) -> Channel:
        """Connects to a daemon.

        Raises:
            OSError: If it does not listen.
        """
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address(folder, name))
        except OSError:
            connection.close()
            raise
        return cls(connection)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, message: Message, files: Sequence[int] = ()) -> None:
        """Sends a message; nothing happens if there is nobody to read it."""
        data = json.dumps(message).encode() + b"\n"
        with contextlib.suppress(OSError):
            sent = socket.send_fds(self._socket, [data], list(files)) if files else 0
            self._socket.sendall(data[sent:])

    def receive(self) -> tuple[Message, list[int]] | None:
        """The next message and the files that came with it; None if the other side is gone."""
        while b"\n" not in self._unread:
            try:
                data, files, _, _ = socket.recv_fds(self._socket, 65536, MOST_FILES)
            except OSError:
                return None
            if not data:
                return None
            self._unread += data
            self._files += files
        line, _, self._unread = self._unread.partition(b"\n")
        files, self._files = self._files, []
        return json.loads(line), files

    def close(self) -> None:
        """Ends the connection, for a thread too that waits for a message."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def ask(folder: Path, name: str, message: Message) -> Message:
    """Sends one message to a daemon, and returns what it answers.

    Raises:
        OSError: If it does not listen, or ends before it answers.
    """
    channel = Channel.to(folder, name)
    try:
        channel.send(message)
        answer = channel.receive()
    finally:
        channel.close()
    if answer is None:
        raise ConnectionError(f"{name} did not answer")
    return answer[0]


def serve(folder: Path, name: str, handle: Callable[[Channel], None]) -> NoReturn:
    """Listens for ever, with a thread for each connection."""
    path = Path(address(folder, name))
    path.unlink(missing_ok=True)  # left by the one that ran before the node lost its power
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_handle, args=(handle, Channel(connection)), daemon=True).start()


def _handle(handle: Callable[[Channel], None], channel: Channel) -> None:
    try:
        handle(channel)
    finally:
        channel.close()


def start(
    argv: Sequence[str], environment: Mapping[str, str], folder: str, files: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own.

    Raises:
        OSError: If there is no such program or folder.
    """
    stdin, stdout, stderr = files
    return subprocess.Popen(
        argv,
        env=dict(environment),
        cwd=folder,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        umask=0o077,
    )


def failure(text: str, code: int) -> SystemExit:
    """Says why a command fails, and makes what is to be raised. A shell sees the last eight bits of the code."""
    sys.stderr.write(f"{Path(sys.argv[0]).stem}: {text}\n")
    return SystemExit(code & 0xFF)
