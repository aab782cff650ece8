"""How a Director comes to its end: softly, with what runs saved, or at once.

Many may ask for it together: a scheduler sends its signal to all processes of a job, so that a Director hears it itself
and from its client. Who asks later never takes time away that was not given: the end comes at the earliest of the times
that were named.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable

# Parsl has been seen to hang at its end. A busy machine is no reason to cut it off.
END_WITHIN_S = 10.0
PARENT_POLL_S = 0.25
CLOSED = "closed by its client"
GOODBYE = b"goodbye\n"
"""What a client says on the lifeline of a Director that it has no more need of."""


class CannotRunError(RuntimeError):
    """The Director cannot run anything on its Partition. The message says why."""


class HeldByAnotherError(CannotRunError):
    """Another Director lives for this ledger. The message says which."""


class Ending:
    """A Director's end. It may be asked for softly, and more than once; and then at once.

    Attributes:
        softly: Set when all that runs is to be saved first.
        asked: Set when the Director is to end at once; it then does so within a few seconds.
        reason: Why, for people.
        within_s: How long the soft way may take, in s, as it was asked for first.
        give_up: When it must be over, by the monotonic clock, in s.
        failed: Whether it ends because it cannot go on.
        taken_over: Whether it ends because another Director has its ledger.
    """

    def __init__(self) -> None:
        self.softly = asyncio.Event()
        self.asked = asyncio.Event()
        self.reason = CLOSED
        self.within_s = 0.0
        self.give_up = 0.0
        self.failed = False
        self.taken_over = False
        self._loop = asyncio.get_running_loop()

    def ask(self, reason: str, *, failed: bool = False, taken_over: bool = False) -> None:
        """Asks for the end, because the Director cannot go on or because it need not. Safe from any thread."""
        self.taken_over = self.taken_over or taken_over
        timer = threading.Timer(END_WITHIN_S, os._exit, [1])  # the guard then ends what is left
        timer.daemon = True
        timer.start()
        self._loop.call_soon_threadsafe(self._set, reason, failed)

    def ask_softly(self, reason: str, within_s: float) -> None:
        """Asks for the end when all that runs is saved; a second time, for less time than that. Safe from any thread.

        Args:
            reason: Why, for people.
            within_s: How long that may take, in s.
        """
        self._loop.call_soon_threadsafe(self._set_softly, reason, within_s)

    def _set(self, reason: str, failed: bool) -> None:
        if not self.asked.is_set():
            self.failed = failed
            if failed or not self.softly.is_set():
                self.reason = reason
            self.asked.set()

    def _set_softly(self, reason: str, within_s: float) -> None:
        give_up = time.monotonic() + within_s
        if self.softly.is_set():
            self.give_up = min(self.give_up, give_up)
        elif not self.asked.is_set():
            self.reason, self.within_s, self.give_up = reason, within_s, give_up
            self.softly.set()


def watch_lifeline(end: Callable[[str], None], *, stdin: int = 0) -> None:
    """Calls ``end`` once, with the reason, when standard input closes or the parent is another than before.

    Returns at once. Whoever closes standard input on purpose writes `GOODBYE` first.
    """
    parent = os.getppid()
    gone = threading.Event()
    last = b""

    def read() -> None:
        nonlocal last
        while said := os.read(stdin, 4096):
            last = said
        gone.set()

    def wait() -> None:
        while not gone.wait(PARENT_POLL_S) and os.getppid() == parent:
            continue
        end(CLOSED if last.endswith(GOODBYE) else "its client is gone")

    threading.Thread(target=read, name="lifeline", daemon=True).start()
    threading.Thread(target=wait, name="parent", daemon=True).start()
