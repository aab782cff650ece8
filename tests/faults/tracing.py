"""Killing a process at the Nth write to some files, and what a power cut may leave of such files. Uses ``strace``."""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CALLS = "pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename"
SYNCS = ("fsync", "fdatasync")
# What a disk writes as a whole, in bytes.
SECTOR = 512
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_UNFINISHED = re.compile(r"(\d+) +(\w+)\((.*?),? <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>,?(.*)\) += (-?\d+)")
_HEX = re.compile(r"\\x([0-9a-f]{2})")


def strace() -> str:
    """The program. Without it these tests fail in CI, and are left out elsewhere."""
    program = shutil.which("strace")
    if program is None:
        missing = "strace is not installed: apt-get install strace"
        pytest.fail(missing) if os.environ.get("REQUIRE_SERVICES") else pytest.skip(missing)
    return program


def killing(paths: Sequence[Path], number: int, log: Path) -> list[str]:
    """The start of a command that is killed instead of its Nth write to one of these files. Threads count their own."""
    return [*_watching(paths, log), "-e", f"inject={CALLS}:signal=SIGKILL:when={number}"]


def recording(paths: Sequence[Path], log: Path) -> list[str]:
    """The start of a command of which all writes to these files are recorded, with what is written."""
    return [*_watching(paths, log), "-y", "-xx", "-s", "10000000"]


def _watching(paths: Sequence[Path], log: Path) -> list[str]:
    chosen = [word for path in paths for word in ("-P", str(path))]
    return [strace(), "-f", "-qq", "-o", str(log), *chosen, "-e", f"trace={CALLS}"]


@dataclass(frozen=True)
class Op:
    """One thing that was done to a file.

    Attributes:
        call: Name of the system call.
        path: The file.
        data: What was written.
        offset: Where; for ``ftruncate`` the new size.
    """

    call: str
    path: Path
    data: bytes = b""
    offset: int = 0


def read_recording(log: Path) -> list[Op]:
    """The operations of a recording, in the order in which they ended.

    Raises:
        ValueError: If a line is not understood.
    """
    begun: dict[str, tuple[str, str]] = {}
    ops = []
    for line in log.read_text().splitlines():
        if found := _UNFINISHED.match(line):
            begun[found[1]] = (found[2], found[3])
        elif found := _RESUMED.match(line):
            call, arguments = begun.pop(found[1])
            ops.append(_op(call, arguments + found[3], int(found[4])))
        elif found := _LINE.match(line):
            ops.append(_op(found[2], found[3], int(found[4])))
        elif "+++" not in line and "---" not in line:
            raise ValueError(f"strace said something else: {line[:200]}")
    return ops


def _op(call: str, arguments: str, result: int) -> Op:
    if result < 0 or call not in ("pwrite64", "write", "ftruncate", *SYNCS):
        raise ValueError(f"{call}({arguments[:200]}) = {result} is not what these tests are made for")
    file, *more = arguments.split(", ")
    path = Path(_text(file[file.index("<") + 1 : -1]).decode())
    if call == "ftruncate":
        return Op(call, path, offset=int(more[0]))
    if call in SYNCS:
        return Op(call, path)
    data = _text(more[0].strip('"'))
    if result != len(data):
        raise ValueError(f"{call} wrote {result} of {len(data)} bytes")
    return Op(call, path, data, int(more[2]) if call == "pwrite64" else 0)


def _text(hexadecimal: str) -> bytes:
    return bytes.fromhex("".join(_HEX.findall(hexadecimal)))


@dataclass
class OnDisk:
    """A file, as far as it is sure to be on disk, and what was done to it since then."""

    sure: bytes = b""
    pending: list[Op] = field(default_factory=list)

    def do(self, op: Op) -> None:
        """One more operation."""
        if op.call in SYNCS:
            self.sure, self.pending = applied(self.sure, self.pending), []
        else:
            self.pending.append(op)


def applied(content: bytes, ops: Sequence[Op]) -> bytes:
    """What a file holds after some operations."""
    made = bytearray(content)
    for op in ops:
        if op.call == "ftruncate":
            made = made[: op.offset].ljust(op.offset, b"\0")
        else:
            made = made.ljust(op.offset, b"\0")
            made[op.offset : op.offset + len(op.data)] = op.data
    return bytes(made)


def after_a_cut(files: dict[Path, OnDisk], dice: random.Random) -> Iterator[tuple[str, dict[Path, bytes]]]:
    """What the disk may hold when the power comes back: each way with its name.

    Of what was not made sure anything may be there or not: any writes, and of each any sectors.
    """
    yield "all of it", {path: applied(file.sure, file.pending) for path, file in files.items()}
    if not any(file.pending for file in files.values()):
        return
    yield "nothing of it", {path: file.sure for path, file in files.items()}
    yield (
        "half of the last",
        {
            path: applied(file.sure, [*file.pending[:-1], *map(_half, file.pending[-1:])])
            for path, file in files.items()
        },
    )
    for name in ("some of it", "some other part of it"):
        yield name, {path: applied(file.sure, _some(file.pending, dice)) for path, file in files.items()}


def _half(op: Op) -> Op:
    return op if op.call == "ftruncate" else Op(op.call, op.path, op.data[: len(op.data) // 2], op.offset)


def _some(ops: Sequence[Op], dice: random.Random) -> list[Op]:
    parts = itertools.chain.from_iterable(_sectors(op) for op in ops)
    return [part for part in parts if dice.random() < 0.5]


def _sectors(op: Op) -> Iterator[Op]:
    if op.call == "ftruncate":
        yield op
        return
    at = 0
    while at < len(op.data):
        end = at + SECTOR - (op.offset + at) % SECTOR
        yield Op(op.call, op.path, op.data[at:end], op.offset + at)
        at = end
