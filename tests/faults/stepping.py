"""An event loop and a disk that go on only when the test says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

MOST_STEPS = 10_000


class StepLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the test's.

    Args:
        clock: Its time, in s.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._test_clock = clock
        super().__init__()
        self.set_default_executor(Inline())

    def time(self) -> float:
        """The test's time, in s."""
        return self._test_clock()

    def settle(self) -> None:
        """Lets everything run that can run without time going on, or an answer from outside."""
        for _ in range(MOST_STEPS):
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready and not any(timer.when() <= self.time() for timer in self._scheduled):
                return
        raise AssertionError("the event loop does not come to rest")

    def end(self) -> None:
        """Ends all that runs on it, and itself."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.settle()
        self.close()


class Inline(ThreadPoolExecutor):
    """Does what it is given at once, in the caller's thread."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        """See `Executor.submit`."""
        future: Future[Any] = Future()
        _do(future, partial(work, *arguments, **more))
        return future


class HandDisk(Executor):
    """A disk that is as slow as the test wants: what is written and what is answered are two steps.

    Attributes:
        held: Whether it waits for the test.
        gone: Whether it does nothing any more, and answers nobody.
    """

    def __init__(self) -> None:
        self.held = False
        self.gone = False
        self._asked: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._written: deque[tuple[Future[Any], Future[Any]]] = deque()

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        """See `Executor.submit`."""
        future: Future[Any] = Future()
        if not self.gone:
            self._asked.append((future, partial(work, *arguments, **more)))
        return future

    @property
    def busy(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._asked or self._written)

    def write(self) -> None:
        """Does what it was asked first, and does not answer yet."""
        if self._asked:
            future, work = self._asked.popleft()
            if future.set_running_or_notify_cancel():
                result: Future[Any] = Future()
                _do(result, work)
                self._written.append((future, result))

    def answer(self) -> None:
        """Answers what it has done first."""
        if self._written:
            future, result = self._written.popleft()
            error = result.exception()
            if error is None:
                future.set_result(result.result())
            else:
                future.set_exception(error)


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        result = work()
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(result)
