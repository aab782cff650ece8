"""The processes of one run, wherever they are on this machine: which part of the stack each is, and whose."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from partitions.environment import HOST_VARIABLE
from partitions.guard import BLOCK_MARK_VARIABLE, MARK_VARIABLE

ROLES = (
    # What a command line must hold, in the order in which it is looked at.
    ("client", "director run "),
    ("director", "director.process"),
    ("interchange", "HTEX interchange"),
    ("launcher", "srun "),
    ("keeper", "keeper.py"),
    ("manager", "partitions.worker_pool"),
    ("worker", "spawn_main"),
)
ORDERS = re.compile(r"/blocks/block-(\d+)\.json")


@dataclass(frozen=True)
class Process:
    """A process of a run.

    Attributes:
        role: ``client``, ``director``, ``interchange``, ``launcher``, ``keeper``, ``manager``, ``helper`` (of a
            manager), ``worker`` or ``other``.
        director: Index of the Director that it belongs to, if that can be told.
        host: Its node, if it is a keeper's or stands below one.
        pid: Its id.
        command: Its command line.
    """

    role: str
    director: int | None
    host: str | None
    pid: int
    command: str


class Processes:
    """Finds the processes of a run, which name its folder or carry the mark of one of its Directors.

    Args:
        run_folder: The run folder.
    """

    def __init__(self, run_folder: Path) -> None:
        self._folder = str(run_folder)
        self._place = re.compile(re.escape(self._folder) + r"/director-(\d+)/")
        self._marks: dict[str, int] = {}
        self._hosts: dict[tuple[str, str], str] = {}

    def find(self) -> list[Process]:
        """All that there are now, in order."""
        raw = [_Raw.read(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        seen = [item for item in raw if item is not None]
        for item in seen:
            # What serves one Director names its folder, or writes into it.
            if item.mark and (found := self._place.search(f"{item.command} {item.log}/")):
                self._marks[item.mark] = int(found[1])
            if item.host and item.block:
                self._hosts[item.mark, item.block] = item.host
        found = [self._process(item) for item in seen if self._ours(item)]
        return sorted(_helpers(found), key=lambda one: (one.role, one.director or 0, one.host or "", one.pid))

    def _ours(self, item: _Raw) -> bool:
        return self._folder in item.command or item.mark in self._marks

    def _process(self, item: _Raw) -> Process:
        role = next((role for role, text in ROLES if text in item.command), "other")
        # A keeper and its launcher know their node by the orders of their block only.
        orders = ORDERS.search(item.command)
        host = item.host or (self._hosts.get((item.mark, orders[1])) if orders else None)
        return Process(role, self._marks.get(item.mark), host, item.pid, item.command)


@dataclass(frozen=True)
class _Raw:
    pid: int
    command: str
    log: str
    mark: str
    host: str | None
    block: str

    @classmethod
    def read(cls, pid: int) -> _Raw | None:
        """A process as it is, or None if it is gone, dead or this one."""
        folder = Path(f"/proc/{pid}")
        try:
            if pid == os.getpid() or (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return None
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = _variables((folder / "environ").read_bytes().decode(errors="replace").split("\0"))
            log = _target(folder / "fd" / "2")
        except (OSError, IndexError):
            return None
        block = environment.get(BLOCK_MARK_VARIABLE, "")
        mark = block.partition(".")[0] or environment.get(MARK_VARIABLE, "")
        _, _, place = block.partition(".")  # a block's mark is MARK.NODE.BLOCK
        node, _, number = place.rpartition(".")
        return cls(pid, command, log, mark, environment.get(HOST_VARIABLE) or node or None, number)


def _helpers(found: list[Process]) -> list[Process]:
    """Tells helpers from workers: a manager starts its helper first, and both look alike."""
    children = [one for one in found if one.role == "worker"]
    first: dict[int, int] = {}
    for pid in sorted((one.pid for one in children), key=_started):
        first.setdefault(_parent(pid), pid)
    helpers = set(first.values())
    return [replace(one, role="helper") if one.pid in helpers else one for one in found]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    return int((_stat(pid) or [0, 0])[1])


def _started(pid: int) -> int:
    return int(_stat(pid)[19]) if _stat(pid) else 0


def _variables(entries: Iterable[str]) -> dict[str, str]:
    return {name: value for name, equals, value in (entry.partition("=") for entry in entries) if equals}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
