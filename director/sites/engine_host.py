"""The process that holds an engine for a client: ``python -m director.sites.engine_host FOLDER``.

Standard input is both its orders, one line each, and a lifeline: when it closes, the client is gone, and the engine
ends with all that it started. Standard output has one line for each event; see `director.sites.engine_messages`.
What it starts carries a mark, and a guard ends that when this process is killed; see `partitions.guard`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.sites.engine_inside import Engine, Waiting
from director.sites.engine_messages import Begin, Ended, Event, Failed, Ready, Submit
from director.warm import WarmInterchange
from partitions.guard import Guard

logger = logging.getLogger(__name__)

LOOK_S = 0.25
PARENT_POLL_S = 0.25
START_UP_S = 120.0
END_WITHIN_S = 10.0


@dataclass(frozen=True)
class _Stop:
    """Why the engine is to end; an error is told to the client, if it is still there."""

    reason: str
    error: bool = False


class Host:
    """Takes orders, and tells of events.

    Args:
        orders: File descriptor that orders come from.
        answers: File descriptor that events go to.
    """

    def __init__(self, orders: int, answers: int) -> None:
        self._orders = os.fdopen(orders, "rb")
        self._answers = answers
        self._inbox: queue.SimpleQueue[Submit | Ended | _Stop] = queue.SimpleQueue()
        self._told = threading.Lock()
        self._started = threading.Event()
        self._ending = threading.Event()

    def run(self, folder: Path) -> int:
        """Holds an engine until its client wants no more or it cannot go on.

        Args:
            folder: The engine's.

        Returns:
            The exit code.
        """
        begin = Begin.model_validate_json(self._orders.readline())
        interchange = WarmInterchange(folder)
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, self._on_signal)
        self._in_thread(self._read)
        self._in_thread(self._watch_parent, os.getppid())
        timer = threading.Timer(START_UP_S, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            engine = _started(begin, folder, interchange)
        except Exception as error:
            logger.exception("the engine does not start")
            self._tell(Failed(error=f"the engine does not start: {error or repr(error)}"))
            return 1
        finally:
            timer.cancel()
        self._started.set()
        logger.info("the engine is there")
        self._in_thread(self._watch_interchange, engine)
        self._in_thread(self._watch_pool, engine)
        try:
            return self._work(engine)
        finally:
            engine.end()

    def _work(self, engine: Engine) -> int:
        while True:
            match self._inbox.get():
                case Submit() as task:
                    engine.submit(task, self._inbox.put)
                case Ended() as event:
                    if event.error is not None:
                        logger.error("task %s: %s", event.task_id, event.error)
                    self._tell(event)
                    if engine.broken is not None:
                        self._stop(engine.broken, error=True)
                case _Stop() as stop:
                    logger.info("the engine ends: %s", stop.reason)
                    if stop.error:
                        self._tell(Failed(error=stop.reason))
                    return int(stop.error)

    # ---- what may happen, each in a thread of its own

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # half a line: its writer was killed
            for line in self._orders:
                self._inbox.put(Submit.model_validate_json(line))
        self._stop("its client is gone")

    def _watch_parent(self, parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_S)
        self._stop("its client is gone")

    def _watch_interchange(self, engine: Engine) -> None:
        while engine.reachable:
            time.sleep(LOOK_S)
        self._stop("the engine's interchange has ended", error=True)

    def _watch_pool(self, engine: Engine) -> None:
        waiting = Waiting(START_UP_S)
        ready = False
        while not self._ending.wait(LOOK_S):
            try:
                look = engine.look()
            except Exception as error:  # also because the engine ends
                return self._stop(f"the engine does not say how it is ({error!r})", error=True)
            if engine.broken is not None:
                return self._stop(engine.broken, error=True)
            if waiting.too_long(look, time.monotonic()):
                return self._stop(f"the worker pool does not come up within {START_UP_S:g} s", error=True)
            if look.pools and not ready:
                ready = True
                logger.info("the worker pool is there")
                self._tell(Ready())
        return None

    def _give_up(self) -> None:
        self._tell(Failed(error=f"the engine does not start within {START_UP_S:g} s"))
        os._exit(1)

    def _on_signal(self, number: int, _: object) -> None:
        self._stop(f"the engine was ended by signal {signal.Signals(number).name}", error=True)

    # ---- how it is told

    def _stop(self, reason: str, *, error: bool = False) -> None:
        """Asks for the end, which comes soon whatever the engine does; the guard then ends what is left."""
        if not self._started.is_set():  # there is nothing to give back yet
            logger.info("the engine does not start: %s", reason)
            if error:
                self._tell(Failed(error=reason))
            os._exit(int(error))
        timer = threading.Timer(END_WITHIN_S, os._exit, [1])
        timer.daemon = True
        timer.start()
        self._ending.set()
        self._inbox.put(_Stop(reason, error))

    def _tell(self, event: Event) -> None:
        with self._told, contextlib.suppress(BrokenPipeError):  # the client is gone, which is noticed elsewhere
            line = event.line()
            while line:
                line = line[os.write(self._answers, line) :]

    @staticmethod
    def _in_thread(target: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, name=target.__name__.strip("_"), daemon=True).start()


def _started(begin: Begin, folder: Path, interchange: WarmInterchange) -> Engine:
    import endpoint_templates

    return Engine(endpoint_templates.render(begin.template, begin.rules, begin.options), folder, interchange)


def main() -> None:
    """Holds the engine whose folder is on the command line; ``temporary`` says to remove it in the end."""
    folder, *more = sys.argv[1:]
    # Only events go to standard output, and only this process reads orders, whatever libraries and children do.
    answers, orders = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("parsl", "globus_compute_endpoint", "globus_sdk"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    os.umask(0o077)
    # Not released: when this process has ended, however that came about, it ends what is left.
    guard = Guard(os.environ, folder=Path(folder) if "temporary" in more else None)
    logger.info("process %d, guard %d", os.getpid(), guard.pid)
    code = Host(orders, answers).run(Path(folder))
    # Threads of Parsl may still wait for what is gone.
    os._exit(code)


if __name__ == "__main__":
    main()
