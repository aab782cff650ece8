"""Keeping worker pools on the nodes of a Partition: what `partitions.node_watch` decides, done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import Signals

from parsl.executors import HighThroughputExecutor

from director.pool import NodeState
from director.pool_size import bindings_of
from director.spec import PoolSpec
from partitions.blocks import PartitionProvider
from partitions.carve import Partition
from partitions.early_signals import word_of
from partitions.environment import FORWARDED_VARIABLES, WARM_VARIABLE
from partitions.keeper import Orders, Post
from partitions.launchers import Launcher
from partitions.line import KeeperView, Line, Signal
from partitions.node_watch import BlockView, NodeWatch, Steps

logger = logging.getLogger(__name__)

WARM_WORKER = "director.worker:warm"


@dataclass(frozen=True)
class PoolPlace:
    """Where a pool lives.

    Attributes:
        partition: The nodes.
        lead: Name of the lead node.
        launcher: How to start programs on them.
        address: An address of this machine that they can reach.
        folder: The Director's folder, for logs, orders and certificates.
        run_folder: The run folder.
        work: Where Requests have their folders.
        environment: Environment of the launchers.
        mark: The Director's mark.
        warm: What each worker loads before it takes anything, as ``module:function``.
    """

    partition: Partition
    lead: str
    launcher: Launcher
    address: str
    folder: Path
    run_folder: Path
    work: Path
    environment: Mapping[str, str]
    mark: str
    warm: str = WARM_WORKER


@dataclass(frozen=True)
class Outlook:
    """How it stands with the nodes.

    Attributes:
        fatal: Why the Partition cannot be used at all; else None.
        hopeless: Why Requests should wait no longer; else None.
    """

    fatal: str | None = None
    hopeless: str | None = None


class NodeKeeping:
    """Starts worker pools on the nodes of a Partition, and starts them again.

    Args:
        place: Where.
        spec: How to run the workers.
        changed: Called, from another thread, when it is time for the next `step`.
        gone: Called, from another thread, with the keeper of a node that has gone.
        killed: Called, from another thread, with the name of what a worker ran that was killed as `signal` asked.
        warned: Called once, from another thread, for each signal by which the scheduler warns the nodes, with what is
            to be said of it.

    Attributes:
        provider: For the executor whose worker pools are kept.
        states: How the nodes are.
        workers: How many workers there are when all nodes are up.
        most_workers: How many the node with the most workers has.
    """

    def __init__(
        self,
        place: PoolPlace,
        spec: PoolSpec,
        *,
        changed: Callable[[], None],
        gone: Callable[[KeeperView], None],
        killed: Callable[[str], None],
        warned: Callable[[Signals, str], None],
    ) -> None:
        self._place = place
        self._mps = spec.mps
        self._posts = {
            node.hostname: Post(node, tuple(bindings))
            for node, bindings in bindings_of(place.partition, spec, lead=place.lead)
        }
        self.workers = sum(len(post.bindings) for post in self._posts.values())
        self.most_workers = max(len(post.bindings) for post in self._posts.values())
        self._warned = warned
        self._heard: set[Signals] = set()
        self._line = Line(place.address, changed=changed, gone=gone, killed=killed, warned=self._hear)
        self.provider = PartitionProvider(
            place.partition,
            launcher=place.launcher,
            line=self._line,
            orders=self._orders,
            environment=place.environment,
            folder=place.folder / "blocks",
        )
        self._watch = NodeWatch(
            place.partition.hostnames,
            launcher=place.launcher.name,
            nodes_per_block=spec.nodes_per_block if place.launcher.nodes_at_once else 1,
            startup_timeout_s=spec.startup_timeout_s,
            wait_s=spec.node_wait_s,
            now=time.monotonic(),
        )
        self.states = [NodeState(name, "starting") for name in place.partition.hostnames]
        self._written: set[tuple[str, str | None]] = set()

    def step(self, executor: HighThroughputExecutor, managers: Sequence[Mapping[str, object]]) -> Outlook:
        """Looks at the nodes and does what is due.

        Args:
            executor: Starts and numbers the blocks.
            managers: The worker pools that the executor says are connected.
        """
        strangers = self._line.strangers()
        if strangers:
            hosts = ", ".join(sorted({stranger.host for stranger in strangers}))
            mine = ", ".join(self._place.partition.hostnames)
            return Outlook(
                fatal=f"{self._place.launcher.name} started workers on {hosts}, where it was not told to: Partition "
                f"({mine}). Choose another launcher, or look at how it chooses hosts"
            )
        self._write_down_workers()
        blocks = self.provider.blocks()
        connected = _connected(blocks, executor, managers)
        steps = self._watch.look(time.monotonic(), blocks, connected)
        for line in steps.news:
            logger.info(line)
        self._do(steps, executor)
        self.states = self._seen(connected)
        return Outlook(steps.fatal, steps.hopeless)

    def begun(self) -> dict[str, str]:
        """What each worker of the nodes that are there has begun last, with its node."""
        return {
            name: keeper.node or keeper.host
            for keeper in self._line.keepers()
            for name in list(keeper.running.values())
        }

    def signal(self, what: Signal, began: str) -> bool:
        """Has the worker signalled that runs something; see `Line.signal`."""
        return self._line.signal(what, began)

    def _hear(self, number: Signals) -> None:
        """Notes that the scheduler has warned a node. Only the line's thread calls this."""
        word = word_of(number, self._line.keepers())
        if word is not None and number not in self._heard:
            self._heard.add(number)
            self._warned(number, word)

    def start_over(self) -> None:
        """Ends all worker pools at once; the next `step` starts them again. It is not held against the nodes."""
        self.provider.cancel_all()
        self._watch.start_over(time.monotonic())
        self.states = self._seen({})

    def close(self) -> None:
        """Ends all worker pools at once. May be called twice."""
        self.provider.cancel_all()
        self._line.close()

    def _orders(self, block: str, nodes: Sequence[str], command: Sequence[str]) -> Orders:
        return Orders(
            line=self._line.address,
            token=self._line.token,
            block=block,
            mark=self._place.mark,
            posts=tuple(self._posts[name] for name in nodes),
            logical=not self._place.launcher.nodes_at_once,
            mps=self._mps,
            pool=tuple(command),
            environment={
                WARM_VARIABLE: self._place.warm,
                **{
                    name: self._place.environment[name]
                    for name in FORWARDED_VARIABLES
                    if name in self._place.environment
                },
            },
        )

    def _write_down_workers(self) -> None:
        """Logs what each worker said of itself when it began, once all of its node have."""
        for keeper in self._line.keepers():
            known = (keeper.block, keeper.node)
            if (
                known not in self._written
                and keeper.node
                and len(keeper.workers) >= len(self._posts[keeper.node].bindings)
            ):
                self._written.add(known)
                owned = [
                    f"{keeper.node}/{rank} on {said['host']} with cores {_listed(said['cores'])} and "
                    f"{'no accelerator' if said['accelerator'] is None else 'accelerator ' + said['accelerator']}"
                    for rank, said in sorted(keeper.workers.items())
                ]
                logger.info("workers have begun: %s", "; ".join(owned))

    def _do(self, steps: Steps, executor: HighThroughputExecutor) -> None:
        for block, node in steps.leave:
            self.provider.leave(block, node)
        self.provider.cancel(steps.end)
        for nodes in steps.start:
            self.provider.want(nodes)
            # Parsl's own scaling would start the first blocks only after its first period, and knows nothing of nodes.
            (block,) = executor.scale_out_facade(1)
            self._watch.started(executor.blocks_to_job_id[block], nodes)

    def _seen(self, connected: Mapping[str, int]) -> list[NodeState]:
        now, clock = datetime.now(UTC), time.monotonic()
        owned = {
            keeper.node: tuple(
                sorted({str(said["accelerator"]) for said in keeper.workers.values() if said["accelerator"]})
            )
            for keeper in self._line.keepers()
        }
        return [
            NodeState(
                record.hostname,
                record.state,
                workers=connected.get(record.hostname, 0) if record.state == "up" else 0,
                since=(now - timedelta(seconds=clock - record.since)).isoformat(timespec="seconds"),
                reason=record.reason if record.state == "lost" else None,
                accelerators=owned.get(record.hostname, ()),
            )
            for record in self._watch.nodes.values()
        ]


def _connected(
    blocks: Mapping[str, BlockView], executor: HighThroughputExecutor, managers: Sequence[Mapping[str, object]]
) -> dict[str, int]:
    """For each node whose worker pool is connected to the interchange, how many workers it has."""
    found = {}
    for manager in managers:
        block = blocks.get(executor.blocks_to_job_id.get(manager["block_id"], ""))
        node = str(manager["manager"]).partition(".")[2]  # see `partitions.worker_pool`
        if block is not None and node in block.nodes and manager["active"]:
            found[node] = int(str(manager["worker_count"]))
    return found


def _listed(cores: Sequence[int]) -> str:
    return ",".join(str(core) for core in cores)
