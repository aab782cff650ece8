"""The workers of one Director: Parsl on its Partition, with the loss of any part of it made good."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

from director.attempt import Attempt, AttemptResult
from director.node_keeping import NodeKeeping, PoolPlace
from director.parsl_life import BrokenError, ParslLife
from director.pool import How, LostError, NodeState, NoWorkersError
from director.restarts import MOST_RESTARTS, restart_pause_s
from director.spec import PoolSpec
from director.stop_flags import StopFlags
from director.warm import WarmInterchange
from director.worker import pack_name, run_attempts
from partitions.line import KeeperView, Signal
from simulations.workspace import Stop

logger = logging.getLogger(__name__)

SUPERVISE_PERIOD_S = 0.5
CLEANUP_S = 2.0

_SIGNALS: dict[How, Signal] = {How.INTERRUPT: "interrupt", How.KILL: "kill"}


@dataclass(frozen=True)
class _Pack:
    """Attempts that travel together, and what becomes of them."""

    attempts: list[Attempt]
    future: Future[list[AttemptResult]]

    @property
    def name(self) -> str:
        return pack_name(self.attempts)


class ParslPool:
    """A Pool on a HighThroughputExecutor of its own.

    When Parsl's interchange ends, what ran is lost, and Parsl is started again on the same nodes. What is submitted
    meanwhile waits.

    Args:
        place: Where it lives.
        spec: How to run the workers.
        interchange: Parsl's interchange, which the pool ends with its workers.
        fail: Called once, from another thread, with the reason, if the Partition cannot be used at all.
        warned: Called once, from another thread, for each signal by which the scheduler warns the nodes that it is
            about to end the job, with what is to be said of it.
    """

    def __init__(
        self,
        place: PoolPlace,
        spec: PoolSpec,
        *,
        interchange: WarmInterchange,
        fail: Callable[[str], None],
        warned: Callable[[signal.Signals, str], None] = lambda number, word: None,
    ) -> None:
        self._place = place
        self._fail = fail
        self._news = threading.Event()
        self._nodes = NodeKeeping(
            place,
            spec,
            changed=self._news.set,
            gone=self._lose_with,
            killed=self._lose_what_was_killed,
            warned=warned,
        )
        self._flags = StopFlags(place.work)
        self._life = self._new_life(interchange)
        self._started = False
        self._starting_over = False
        self._restarts: list[float] = []
        self._stop = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="pool-supervisor", daemon=True)
        self._broken: str | None = None
        self._pending: dict[str, _Pack] = {}
        self._lock = threading.Lock()

    def _new_life(self, interchange: WarmInterchange) -> ParslLife:
        return ParslLife(
            interchange=interchange,
            provider=self._nodes.provider,
            most_workers=self._nodes.most_workers,
            address=self._place.address,
            folder=self._place.folder / "parsl",
            function=run_attempts,
        )

    @property
    def workers(self) -> int:
        """See `Pool.workers`."""
        return self._nodes.workers

    @property
    def hopeless(self) -> str | None:
        """See `Pool.hopeless`."""
        return self._broken

    def start(self) -> None:
        """See `Pool.start`."""
        self._life.start()
        self._look_after_nodes([])
        self._started = True
        self._supervisor.start()

    # ---- attempts

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """See `Pool.submit`."""
        if not self._started:
            raise RuntimeError("the pool has not been started")
        pack = _Pack(attempts, Future())
        with self._lock:
            if self._broken is not None:
                pack.future.set_exception(NoWorkersError(self._broken))
                return pack.future
            self._pending[pack.name] = pack
            life = None if self._starting_over else self._life
        if life is not None:  # else it is sent when Parsl has been started again
            self._send(pack, life)
        return pack.future

    def _send(self, pack: _Pack, life: ParslLife) -> None:
        try:
            theirs = life.submit(pack.attempts, str(self._place.run_folder), str(self._place.work))
        except Exception as error:
            if life.broken is None:
                raise
            self._lose([pack.name], f"{life.broken} ({error})", with_node=True)
        else:
            theirs.add_done_callback(lambda done: self._settle(pack.name, done, life))

    def _settle(self, name: str, theirs: Future[list[AttemptResult]], life: ParslLife) -> None:
        error = theirs.exception()
        if isinstance(error, WorkerLost | ManagerLost):
            self._lose([name], str(error), with_node=isinstance(error, ManagerLost))
        elif error is not None and (broken := life.broken) is not None:
            self._lose([name], broken, with_node=True)
        elif (pack := self._take(name)) is None:
            return
        elif error is not None:
            pack.future.set_exception(error)
        else:
            pack.future.set_result(theirs.result())

    def _take(self, name: str) -> _Pack | None:
        """A pack that is still pending; from now on it is not, so whoever comes later finds it settled."""
        with self._lock:
            return self._pending.pop(name, None)

    def _lose(self, names: list[str], reason: str, *, with_node: bool) -> None:
        for name in names:
            pack = self._take(name)
            if pack is not None:
                pack.future.set_exception(LostError(reason, with_node=with_node))

    def _lose_with(self, keeper: KeeperView) -> None:
        """Gives up what ran on a node when its keeper is gone: Parsl would notice only when heartbeats are missed."""
        self._lose(list(keeper.running.values()), f"lost with its worker pool on {keeper.node}", with_node=True)

    def _lose_what_was_killed(self, name: str) -> None:
        """Gives up what a worker ran that was killed: Parsl would notice only when it looks at the worker."""
        self._lose([name], "its worker was killed, as was asked", with_node=False)

    def stop(self, attempts: Mapping[str, int], why: Stop, how: How) -> None:
        """See `Pool.stop`. One that has not begun finds its flag when it does; no worker is signalled for it.

        Raises:
            OSError: If a flag could not be written. What can be signalled has been.
        """
        with self._lock:
            travels = {
                (attempt.id, attempt.epoch): name for name, pack in self._pending.items() for attempt in pack.attempts
            }
        pending = {item: travels[item] for item in attempts.items() if item in travels}
        try:
            for name, epoch in pending:
                self._flags.set(name, epoch, why)
        finally:
            if how is not How.ASK:
                for pack in dict.fromkeys(pending.values()):
                    self._nodes.signal(_SIGNALS[how], pack)

    def begun(self) -> dict[str, str]:
        """See `Pool.begun`; the names are those of `pack_name`."""
        begun = self._nodes.begun()
        with self._lock:
            return {name: node for name, node in begun.items() if name in self._pending}

    # ---- nodes

    def nodes(self) -> list[NodeState]:
        """See `Pool.nodes`; at most half a second old."""
        return list(self._nodes.states)

    def close(self) -> None:
        """See `Pool.close`."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._news.set()
        if self._supervisor.is_alive():
            self._supervisor.join(CLEANUP_S)
        self._nodes.close()
        with self._lock:
            life = self._life
        life.close(CLEANUP_S)

    def _supervise(self) -> None:
        while not self._stop.is_set():
            self._news.wait(SUPERVISE_PERIOD_S)
            self._news.clear()
            if self._stop.is_set():
                return
            try:
                if not self._step():
                    return
            except Exception as error:
                # Nobody would look after the nodes any more, and nobody would know.
                logger.exception("the nodes cannot be kept")
                self._fail(f"the nodes cannot be kept: {type(error).__name__}: {error}")
                return

    def _step(self) -> bool:
        """Looks at Parsl and the nodes and does what is due; returns whether to go on."""
        reason = self._life.broken
        if reason is None:
            try:
                return self._look_after_nodes(self._life.managers())
            except BrokenError as error:
                reason = str(error)
        return self._start_over(reason)

    def _look_after_nodes(self, managers: Sequence[Mapping[str, object]]) -> bool:
        outlook = self._nodes.step(self._life.executor, managers)
        if outlook.fatal:
            logger.error(outlook.fatal)  # the Director may not have the time to say it in the end
            self._fail(outlook.fatal)
        elif outlook.hopeless:
            self._give_up(outlook.hopeless)
        else:
            self._broken = None
        return not outlook.fatal

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._broken = reason
            pending, self._pending = list(self._pending.values()), {}
        for pack in pending:
            pack.future.set_exception(NoWorkersError(reason))

    # ---- when Parsl ends

    def _start_over(self, reason: str) -> bool:
        """Starts Parsl again, and again if that fails; returns whether to go on."""
        with self._lock:
            self._starting_over = True
            lost = list(self._pending)
        self._lose(lost, reason, with_node=True)
        while not self._stop.is_set():
            self._nodes.start_over()
            self._life.close(0.0)
            pause_s = restart_pause_s(self._restarts, time.monotonic())
            if pause_s is None:
                self._fail(f"{reason}, although Parsl was started again {MOST_RESTARTS} times within an hour")
                return False
            logger.warning("%s: starting it again", reason)
            if self._stop.wait(pause_s):
                return False
            self._restarts.append(time.monotonic())
            life = self._new_life(WarmInterchange(self._place.folder))
            with self._lock:
                self._life = life
            try:
                life.start()
                break
            except Exception as error:
                reason = f"Parsl could not be started again: {type(error).__name__}: {error}"
        if self._stop.is_set():  # whoever closes the pool may have seen only the life before
            self._life.close(CLEANUP_S)
            return False
        self._look_after_nodes([])
        with self._lock:
            self._starting_over = False
            held = list(self._pending.values())
        for pack in held:
            self._send(pack, self._life)
        return True
