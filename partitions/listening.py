"""Who listens on a port of this machine, read from ``/proc``: one of these processes, or somebody else.

Whoever sends a secret to a port should know. A server that could not have its port has often left it to another user's,
who would answer in its place.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

_LISTEN = "0A"
_EVERYWHERE = {"00000000", "0" * 32}


class Listener(StrEnum):
    """Who listens."""

    NOBODY = "nobody"
    OURS = "ours"
    EVERYWHERE = "everywhere"
    """One of these processes, and on all of the machine's addresses."""
    OTHER = "other"


def listener(address: str, port: int, pids: Iterable[int], *, proc: Path = Path("/proc")) -> Listener:
    """Who listens where a connection to this address and port would end.

    Args:
        address: An IPv4 address of this machine.
        port: The port.
        pids: The processes that are meant; they must be this user's.
        proc: Where the process file system is mounted.
    """
    own = _hex(address)
    found = [
        (host, inode)
        for name in ("tcp", "tcp6")
        for host, inode in _listening(proc / "self" / "net" / name, port)
        if host in _EVERYWHERE or host == own or (len(host) == 32 and host.endswith(own))
    ]
    if not found:
        return Listener.NOBODY
    ours = _sockets(pids, proc)
    mine = [host for host, inode in found if inode in ours]
    if any(host in _EVERYWHERE for host in mine):
        return Listener.EVERYWHERE
    if not mine:
        return Listener.OTHER
    # A connection ends at the most exact address; beside it somebody else may listen on all of them.
    return Listener.OURS


def _hex(address: str) -> str:
    """An IPv4 address as the kernel prints it: a number in this machine's order of bytes."""
    return f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}"


def _listening(table: Path, port: int) -> list[tuple[str, str]]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:  # no IPv6 here
        return []
    found = []
    for line in lines:
        words = line.split()
        host, _, number = words[1].partition(":")
        if words[3] == _LISTEN and int(number, 16) == port:
            found.append((host, words[9]))
    return found


def _sockets(pids: Iterable[int], proc: Path) -> set[str]:
    """The inodes of the sockets that processes hold open."""
    found = set()
    for pid in pids:
        try:
            entries = list((proc / str(pid) / "fd").iterdir())
        except OSError:  # it has ended
            continue
        for entry in entries:
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    return found
