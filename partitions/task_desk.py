"""How a worker pool hands tasks to its workers and takes their results, whenever one of them is killed.

Parsl's own workers share two queues, and the locks of those. A worker that is killed while it holds one, as any idle
worker may, leaves it held: its node then takes tasks and runs none, and nobody notices. And a task is lost for good
with a worker that is killed between taking it and noting that it has. So here each worker has a connection of its own,
and no lock is shared. The pool chooses who gets a task, so it knows what each one has without being told.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import selectors
import threading
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

_READY = b"r"
_RESULT = b"d"


class WorkerEnd:
    """A worker's end: what it finds in the place of Parsl's queues, and of what Parsl's workers note beside them.

    Args:
        connection: To its pool.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._said_ready = False
        self.value = 0

    def get(self, timeout: float) -> Any:
        """The next task.

        Args:
            timeout: How long to wait, in s.

        Raises:
            queue.Empty: If none has come; Parsl's worker then looks whether its pool still lives.
        """
        try:
            if not self._said_ready:
                self._connection.send_bytes(_READY)
                self._said_ready = True
            if not self._connection.poll(timeout):
                raise queue.Empty
            task = self._connection.recv_bytes()
        except (EOFError, OSError):
            time.sleep(timeout)  # the pool is gone, or has given this worker up: there is nothing to hurry for
            raise queue.Empty from None
        self._said_ready = False
        return pickle.loads(task)  # noqa: S301  (from this worker's own pool)

    def put(self, result: bytes) -> None:
        """Hands a result over."""
        with contextlib.suppress(OSError):  # nobody is left to take it
            self._connection.send_bytes(_RESULT + result)

    def __setitem__(self, rank: int, task: object) -> None:
        """Parsl's worker notes what it has taken. The pool knows."""

    def pop(self, rank: int) -> None:
        """Parsl's worker notes that it is done. The pool knows that from the result."""

    def get_lock(self) -> contextlib.AbstractContextManager[None]:
        """Of a count of idle workers, which Parsl writes into a log and nowhere else."""
        return contextlib.nullcontext()


class TaskDesk:
    """The pool's end. Safe from several threads; one of them takes the results, and hands on tasks meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: deque[Any] = deque()
        self._idle: dict[int, None] = {}
        self._has: dict[int, Any] = {}
        self._ends: dict[int, Connection] = {}
        self._results: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._opening: Connection | None = None
        self._watch = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        self._watch.register(self._woken, selectors.EVENT_READ)

    # ---- workers

    @contextlib.contextmanager
    def opening(self, rank: int) -> Iterator[None]:
        """Within it a worker's process is started, and this desk, where it is sent along, is that worker's end."""
        ours, theirs = get_context("spawn").Pipe()
        with self._lock:
            self._close(rank)
            self._ends[rank] = ours
            self._watch.register(ours, selectors.EVENT_READ, rank)
        self._opening = theirs
        try:
            yield
        finally:
            self._opening = None
            theirs.close()  # so that the end of the worker is the end of the connection

    def __reduce__(self) -> tuple[type[WorkerEnd], tuple[Connection | None]]:
        """What travels to the worker that is being started."""
        return WorkerEnd, (self._opening,)

    def pop(self, rank: int) -> Any:
        """What a worker that has died had to do; it is then nobody's.

        Raises:
            KeyError: If it had nothing to do, or had done it.
        """
        with self._lock:
            try:
                while rank in self._ends and self._ends[rank].poll():
                    self._read(rank)
                self._close(rank)
                return self._has.pop(rank)
            finally:
                # What was read here, whoever waits for results does not see by itself.
                os.write(self._wake, b"\0")

    def _close(self, rank: int) -> None:
        self._idle.pop(rank, None)
        end = self._ends.pop(rank, None)
        if end is not None:
            self._watch.unregister(end)
            end.close()

    # ---- tasks

    def put_task(self, task: Any) -> None:
        """Takes a task for the next worker that has nothing to do."""
        with self._lock:
            self._tasks.append(task)
            self._hand_out()

    def _hand_out(self) -> None:
        while self._tasks and self._idle:
            rank = next(iter(self._idle))
            del self._idle[rank]
            self._has[rank] = task = self._tasks.popleft()
            try:
                self._ends[rank].send_bytes(pickle.dumps(task))
            except OSError:  # it has died, with nothing to do; its successor will say when it is ready
                del self._has[rank]
                self._tasks.appendleft(task)

    def qsize(self) -> int:
        """How many tasks wait for a worker."""
        return len(self._tasks)

    @property
    def value(self) -> int:
        """How many workers have nothing to do."""
        return len(self._idle)

    # ---- results

    def put(self, result: bytes | None) -> None:
        """Adds a result of the pool's own, such as the loss of a worker; None wakes whoever waits for one."""
        self._results.put(result)
        os.write(self._wake, b"\0")

    def get_result(self) -> bytes | None:
        """The next result. Blocks until there is one."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._results.get_nowait()
            for key, _ in self._watch.select():
                if key.data is None:
                    os.read(self._woken, 4096)
                    continue
                with self._lock:
                    # Another thread may have closed it meanwhile, and opened one for the worker's successor.
                    if self._ends.get(key.data) is key.fileobj:
                        self._read(key.data)

    def _read(self, rank: int) -> None:
        """Reads one message of a worker's; the lock is held, and there is something to read."""
        try:
            said = self._ends[rank].recv_bytes()
        except (EOFError, OSError):
            self._close(rank)  # what it had to do stays noted, until somebody asks for it
            return
        if said == _READY:
            self._idle[rank] = None
            self._hand_out()
        else:
            self._has.pop(rank, None)
            self._results.put(said[len(_RESULT) :])
