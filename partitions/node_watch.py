"""What becomes of each node of a Partition: which to start a worker pool on, when, and when to give up. Pure.

A node is *starting* until its workers have connected, then *up*, and *lost* when its worker pool has ended or could not
be started. A lost node is tried again, at once and then less and less often, for as long as the Director lives: a node
may come back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["starting", "up", "lost"]
MAX_STILLBORN = 3
LONGEST_PAUSE_S = 30.0
SHORTEST_PATIENCE_S = 5.0
PATIENCE = 3.0


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row before a node is tried again, in s: 0, 1, 2, 4, … 30."""
    return 0.0 if failures <= 1 else min(LONGEST_PAUSE_S, 2.0 ** (failures - 2))


def in_blocks(nodes: Sequence[str], nodes_per_block: int) -> list[list[str]]:
    """The nodes of each block that is started for these nodes."""
    return [list(nodes[start : start + nodes_per_block]) for start in range(0, len(nodes), nodes_per_block)]


@dataclass(frozen=True)
class BlockView:
    """A block as it is now.

    Attributes:
        nodes: Hostnames of its nodes, without those that were let go.
        age_s: Time since it was launched, in s.
        exited: How its launcher ended; None while it runs.
        holding: The nodes whose keepers hold the line to the Director.
        reached: The nodes whose keepers have ever done so.
        said: Reads the end of what launcher and keepers have printed.
    """

    nodes: tuple[str, ...]
    age_s: float
    exited: str | None
    holding: frozenset[str]
    reached: frozenset[str]
    said: Callable[[], str]


@dataclass
class NodeRecord:
    """One node.

    Attributes:
        hostname: Its name.
        state: How it is.
        since: Since when, in s of the caller's clock.
        reason: Why it is lost, or was the last time.
        block: The block that it is in.
        failures: How often in a row its worker pool has ended or could not be started.
        timed_out: Whether its latest start took too long.
        again_at: When it may be tried again.
    """

    hostname: str
    since: float
    state: State = "starting"
    reason: str | None = None
    block: str | None = None
    failures: int = 0
    timed_out: bool = False
    again_at: float = 0.0

    def turn(self, state: State, now: float) -> None:
        """Notes a state."""
        if state != self.state:
            self.state, self.since = state, now


@dataclass(frozen=True)
class Steps:
    """What to do now.

    Attributes:
        start: Nodes of the blocks to start.
        leave: Blocks and those of their nodes whose keepers are no longer wanted.
        end: Ids of the blocks to end.
        news: What has happened to nodes, in words.
        fatal: Why the Partition cannot be used at all.
        hopeless: Why Requests should wait no longer.
    """

    start: list[list[str]] = field(default_factory=list)
    leave: list[tuple[str, str]] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    fatal: str | None = None
    hopeless: str | None = None


class NodeWatch:
    """Decides about the nodes of one Partition.

    Args:
        hostnames: The nodes.
        launcher: What the launcher is called, for messages.
        nodes_per_block: How many nodes one launcher command starts.
        startup_timeout_s: How long a node may take from the launch of its block until its workers are connected.
        wait_s: How long Requests wait when all nodes are lost.
        now: The time in s, of any monotonic clock.
    """

    def __init__(
        self,
        hostnames: Sequence[str],
        *,
        launcher: str,
        nodes_per_block: int,
        startup_timeout_s: float,
        wait_s: float,
        now: float,
    ) -> None:
        self.nodes = {name: NodeRecord(name, now) for name in hostnames}
        self._launcher = launcher
        self._nodes_per_block = nodes_per_block
        self._startup_timeout_s = startup_timeout_s
        self._wait_s = wait_s
        self._ever_up = False
        self._longest_start_s = 0.0

    def look(self, now: float, blocks: Mapping[str, BlockView], connected: Mapping[str, int]) -> Steps:
        """Decides what to do.

        Args:
            now: The time.
            blocks: The blocks that there are.
            connected: For each node whose workers Parsl can reach, how many.
        """
        news: list[str] = []
        before = {name: record.block for name, record in self.nodes.items()}
        for record in self.nodes.values():
            if record.block is not None:
                self._look_at(record, now, blocks.get(record.block), record.hostname in connected, news)
        used = {record.block for record in self.nodes.values()}
        due = [name for name, record in self.nodes.items() if record.block is None and record.again_at <= now]
        return Steps(
            start=in_blocks(due, self._nodes_per_block),
            leave=[(block, name) for name, block in before.items() if block and self.nodes[name].block is None],
            end=[name for name in blocks if name not in used],
            news=news,
            fatal=self._fatal(),
            hopeless=self._hopeless(now),
        )

    def started(self, block: str, nodes: Sequence[str]) -> None:
        """Notes that a block was started on these nodes."""
        for name in nodes:
            self.nodes[name].block = block

    def start_over(self, now: float) -> None:
        """Notes that all blocks were ended, which is no node's fault: each node is started again at the next look."""
        for record in self.nodes.values():
            record.block, record.again_at = None, now
            record.turn("starting", now)

    def _look_at(self, record: NodeRecord, now: float, block: BlockView | None, up: bool, news: list[str]) -> None:
        name = record.hostname
        if block is None:
            self._lose(record, now, "its block was cancelled", news)
        elif name in block.holding and up:
            if record.state != "up":
                news.append(f"{name} is up")
                self._longest_start_s = max(self._longest_start_s, block.age_s)
            record.turn("up", now)
            record.failures, record.timed_out, self._ever_up = 0, False, True
        elif name in block.holding:
            if record.state == "up":
                self._lose(record, now, "its workers have stopped to answer", news)
            elif block.age_s > self._patience_s(record):
                self._too_late(record, now, "its workers did not connect to the Director", block, news)
        elif name in block.reached:
            self._lose(record, now, _told("its worker pool has ended", block), news)
        elif block.exited is not None:
            self._lose(record, now, _told(f"{self._launcher} {block.exited} before a worker pool began", block), news)
        elif block.age_s > self._patience_s(record):
            self._too_late(record, now, f"{self._launcher} started no worker pool there", block, news)

    def _too_late(self, record: NodeRecord, now: float, what: str, block: BlockView, news: list[str]) -> None:
        record.timed_out = True
        self._lose(record, now, _told(f"{what} within {round(self._patience_s(record), 1):g} s", block), news)

    def _patience_s(self, record: NodeRecord) -> float:
        """How long a start may take.

        A launcher that was sent to a dead node may hang, and the node may come back meanwhile. So a lost node has only
        somewhat longer than the slowest start so far, and then twice as long each time.
        """
        if record.state != "lost" or not self._ever_up:
            return self._startup_timeout_s
        usual = max(SHORTEST_PATIENCE_S, PATIENCE * self._longest_start_s)
        return min(self._startup_timeout_s, usual * 2.0 ** min(record.failures - 1, 10))

    def _lose(self, record: NodeRecord, now: float, reason: str, news: list[str]) -> None:
        record.failures += 1
        record.again_at = now + pause_s(record.failures)
        record.turn("lost", now)
        record.reason = reason
        record.block = None
        news.append(f"{record.hostname} is lost: {reason}")

    def _fatal(self) -> str | None:
        nodes = self.nodes.values()
        if self._ever_up or not all(node.timed_out or node.failures >= MAX_STILLBORN for node in nodes):
            return None
        return f"no worker could be started on any node of the Partition ({self._reasons()})"

    def _hopeless(self, now: float) -> str | None:
        nodes = self.nodes.values()
        if not self._ever_up or any(node.state != "lost" for node in nodes):
            return None
        if now - max(node.since for node in nodes) < self._wait_s:
            return None
        return f"all nodes of the Partition have been lost for {self._wait_s:g} s ({self._reasons()})"

    def _reasons(self) -> str:
        """Each reason once, with the nodes that it is true of."""
        told: dict[str, list[str]] = {}
        for node in self.nodes.values():
            told.setdefault(node.reason or node.state, []).append(node.hostname)
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in told.items())


def _told(what: str, block: BlockView) -> str:
    said = block.said()
    return f"{what}; its output ends: {said}" if said else f"{what}, without output"
