"""The process that keeps a team's workers on nodes: ``python -m director.team.nodes_process``.

It has Parsl's HighThroughputExecutor, in one DataFlowKernel of its own, on the same worker pools that Directors use.
Standard input is its lifeline: when that closes, whoever started it is gone, and it ends with all that it has started,
also if it is killed itself. See `partitions.guard`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from director.carving import launcher_of
from director.door import Refused
from director.plan import plan
from director.spec import PoolSpec
from director.team.on_worker import run_call
from director.team.wire import Hire, News, Order
from director.warm import WarmInterchange
from partitions.address import LOOPBACK, address_for
from partitions.guard import MARK_VARIABLE, Guard, end_marked
from partitions.lean import lean_parsl
from partitions.surroundings import ThisProcess

logger = logging.getLogger(__name__)

LOOK_S = 0.5
CLEANUP_S = 2.0
MOST_LOSSES = 2
"""How often a call is run again whose worker or node was lost under it."""


class Workers:
    """A team's workers on nodes.

    Args:
        hire: What there is to be.
        tell: Takes news, from any thread.
    """

    def __init__(self, hire: Hire, tell: Any) -> None:
        self._folder = Path(hire.folder)
        self._tell = tell
        interchange = WarmInterchange(self._folder)
        with lean_parsl():
            from director.node_keeping import NodeKeeping, PoolPlace
            from director.parsl_life import ParslLife

        around = ThisProcess()
        nodes = plan(directors=1, allocation=hire.allocation, pool=PoolSpec(), surroundings=around)
        (partition,) = nodes.partitions
        spec = PoolSpec(workers_per_node=math.ceil(hire.workers / len(partition.nodes)), threads_per_worker=1)
        local = nodes.allocation.scheduler == "local"
        place = PoolPlace(
            partition=partition,
            lead=nodes.allocation.lead.hostname,
            launcher=launcher_of(nodes.allocation, spec, around),
            address=LOOPBACK if local else address_for(partition.hostnames, socket.gethostname()),
            folder=self._folder,
            run_folder=self._folder,
            work=self._folder,
            environment=around.environment,
            mark=around.environment[MARK_VARIABLE],
            warm="director.team.on_worker:warm",
        )
        self._news = threading.Event()
        self._nodes = NodeKeeping(
            place,
            spec,
            changed=self._news.set,
            gone=lambda _: None,  # Parsl says so itself, when heartbeats are missed
            killed=lambda _: None,
            warned=lambda _, word: logger.warning("%s", word),
        )
        self._life = ParslLife(
            interchange=interchange,
            provider=self._nodes.provider,
            most_workers=self._nodes.most_workers,
            address=place.address,
            folder=self._folder / "parsl",
            function=run_call,
        )
        self._lock = threading.Lock()
        self._losses: dict[str, int] = {}
        self._up = False

    def start(self) -> None:
        """Starts Parsl, and begins to look after the nodes."""
        self._life.start()
        threading.Thread(target=self._look, name="nodes", daemon=True).start()

    def _look(self) -> None:
        """Looks after the nodes for as long as there is something to look after."""
        try:
            managers: Any = []
            while True:
                outlook = self._nodes.step(self._life.executor, managers)
                reason = self._life.broken or outlook.fatal or outlook.hopeless
                if reason:
                    self._tell(News(kind="failed", text=reason))
                    return
                self._say_up()
                self._news.wait(LOOK_S)
                self._news.clear()
                managers = self._life.managers()
        except Exception as error:
            logger.exception("the nodes cannot be kept")
            self._tell(News(kind="failed", text=f"the nodes cannot be kept: {type(error).__name__}: {error}"))

    def _say_up(self) -> None:
        up = [state for state in self._nodes.states if state.workers]
        if up and not self._up:
            self._up = True
            hosts = ", ".join(state.hostname for state in self._nodes.states)
            self._tell(News(kind="up", text=f"Parsl, {self._nodes.workers} workers on {hosts}"))

    def run(self, order: Order) -> None:
        """Runs a call, again if its worker was lost."""
        assert order.call is not None  # noqa: S101  (the caller has looked)
        key = order.key.get_secret_value() if order.key else None
        try:
            future: Future[str] = self._life.submit(order.call, key, str(self._flag(order.id)))
        except Exception as error:  # Parsl is broken or closed, and says so in its own words
            self._tell(News(kind="lost", id=order.id, text=f"{type(error).__name__}: {error}"))
            return
        future.add_done_callback(lambda done: self._settle(order, done))

    def _settle(self, order: Order, done: Future[str]) -> None:
        from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

        error = done.exception()
        if error is None:
            self._losses.pop(order.id, None)
            self._flag(order.id).unlink(missing_ok=True)
            self._tell(News(kind="said", id=order.id, text=done.result()))
            return
        with self._lock:
            losses = self._losses[order.id] = self._losses.get(order.id, 0) + 1
        if isinstance(error, WorkerLost | ManagerLost) and losses <= MOST_LOSSES and not self._flag(order.id).exists():
            self.run(order)
        else:
            self._tell(News(kind="lost", id=order.id, text=f"{type(error).__name__}: {error}"))

    def stop(self, call_id: str) -> None:
        """Asks a call to stop."""
        self._flag(call_id).touch(mode=0o600)

    def _flag(self, call_id: str) -> Path:
        return self._folder / "stop" / call_id

    def close(self) -> None:
        """Ends all workers at once."""
        self._nodes.close()
        self._life.close(CLEANUP_S)


def _orders() -> Iterator[Order]:
    for line in sys.stdin.buffer:
        if line.strip():
            yield Order.model_validate_json(line)


def main() -> None:
    """Keeps workers until standard input closes."""
    hire = Hire.model_validate_json(sys.stdin.buffer.readline())
    answer = os.dup(1)  # only news go to standard output, whatever libraries print
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("parsl").setLevel(logging.CRITICAL)
    os.umask(0o077)
    guard = Guard(os.environ)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal's; the chat says what becomes of calls
    writing = threading.Lock()

    def tell(news: News) -> None:
        with writing, contextlib.suppress(BrokenPipeError):
            os.write(answer, news.model_dump_json().encode() + b"\n")

    workers: Workers | None = None
    try:
        workers = Workers(hire, tell)
        workers.start()
        for order in _orders():
            if order.call is not None:
                workers.run(order)
            else:
                workers.stop(order.id)
    except Refused as refusal:
        tell(News(kind="failed", text="; ".join(map(str, refusal.problems))))
    except Exception as error:
        logger.exception("workers could not be kept")
        tell(News(kind="failed", text=f"{type(error).__name__}: {error}"))
    if workers is not None:
        workers.close()
    end_marked(guard.mark, spare=os.getpid())
    guard.release()
    os._exit(0)  # Parsl's threads may still wait for what is gone


if __name__ == "__main__":
    main()
