"""Runs a command on another node of the job that it is called in, in place of ``rsh``.

Like OpenPBS's, it

- looks the host up in the file that ``PBS_NODEFILE`` of its own environment names, and starts the command on the node
  that the *job* has at that place: with another file in that variable, it goes to another node;
- gives the command the job's environment, not its own, and no ``PBS_NODEFILE``;
- gives it no input, and has its output in the job's;
- can be killed, and the command goes on.

Unlike OpenPBS's, it has a shell read the command, since both Hydra and Open MPI put parts of it in quotes.

usage: pbs_tmrsh FOLDER [-n] [-l USER] HOST [-n] [-l USER] COMMAND...
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from wire import Channel, ask, failure

FAILED = 255


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    host, command = parse(sys.argv[2:])
    for variable in ("PBS_ENVIRONMENT", "PBS_JOBID", "PBS_NODEFILE"):
        if variable not in os.environ:
            raise failure(f"not executing under PBS: there is no {variable}", FAILED)
    job = os.environ["PBS_JOBID"]
    try:
        named = Path(os.environ["PBS_NODEFILE"]).read_text().split()
        info = ask(folder, socket.gethostname(), {"do": "info", "job": job})
    except OSError as error:
        raise failure(str(error), FAILED) from None
    if "error" in info:
        raise failure(f"tm_init: {info['error']}", FAILED)
    if host not in named:
        raise failure(f'host "{host}" is not a node in job <{job}>', FAILED)
    place = named.index(host)
    if place >= len(info["vnodes"]):
        raise failure(f"PBS_NODEFILE contains {place} entries, only {len(info['vnodes'])} nodes in job", FAILED)
    sys.exit(spawn(folder, info["vnodes"][place], job, command))


def parse(arguments: list[str]) -> tuple[str, list[str]]:
    """Reads the command line: the host, and the command."""
    host = None
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "-l" and words:
            words.pop(0)
        elif word == "-n" or (word.startswith("-l") and len(word) > len("-l")):
            continue
        elif word.startswith("-"):
            break
        elif host is None:
            host = word
        else:
            return host, [word, *words]
    raise failure("usage: pbs_tmrsh [-n][-l username] host [-n][-l username] command", FAILED)


def spawn(folder: Path, node: str, job: str, command: list[str]) -> int:
    """Runs a command on a node, and returns its exit code."""
    try:
        channel = Channel.to(folder, node)
    except OSError as error:
        raise failure(f'tm_spawn: host "{node}" err {error}', FAILED) from None
    channel.send({"do": "spawn", "job": job, "argv": ["/bin/sh", "-c", " ".join(command)]})
    while (received := channel.receive()) is not None:
        message = received[0]
        if "error" in message:
            raise failure(f'tm_spawn: host "{node}" err {message["error"]}', FAILED)
        if "status" in message:
            return abs(int(message["status"]))  # a signal, and an exit code: the caller cannot tell which
    raise failure(f'tm_poll(obit): host "{node}" was lost', FAILED)


if __name__ == "__main__":
    main()
