"""Keepers as tests start them: with a line of the test's own, and any program in the place of a worker pool."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from partitions.allocation import Node
from partitions.bindings import bind
from partitions.guard import BLOCK_MARK_VARIABLE, marked, new_mark
from partitions.keeper import Orders, Post, keeper_command
from partitions.line import Line

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]


def orders(
    line: Line, pool: Sequence[str], *, block: str = "0", mark: str | None = None, names: Sequence[str] = ("local-0",),
    accelerators: tuple[str, ...] = (), workers: int | None = None, logical: bool = True, mps: bool = False,
) -> Orders:  # fmt: skip
    """Orders for nodes with two cores each."""
    nodes = [Node(name, (0, 1), accelerators) for name in names]
    return Orders(
        line=line.address,
        token=line.token,
        block=block,
        mark=mark or new_mark(),
        posts=tuple(Post(node, tuple(bind(node, workers=workers))) for node in nodes),
        logical=logical,
        mps=mps,
        pool=tuple(pool),
    )


def start(folder: Path, what: Orders, **options: object) -> subprocess.Popen[str]:
    """Starts a keeper."""
    path = folder / f"orders-{what.block}.json"
    path.write_text(what.dump())
    return subprocess.Popen(
        keeper_command(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0, **options
    )  # type: ignore[call-overload, no-any-return]


def of_block(what: Orders) -> list[int]:
    """The processes of a Director's blocks."""
    return marked(f"{what.mark}.*", BLOCK_MARK_VARIABLE)
