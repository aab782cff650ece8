"""The signals by which a scheduler says that it is about to end what runs on the nodes, and who outlives them there.

Slurm sends its early signal (``--signal=USR1@60``), and the SIGTERM of a job that is out of time, to every process of
every step. So whatever is to save its work before it ends must not end of them, nor must that on which it relies.

A process that ignores a signal passes that on to the programs that it starts; one that has a handler does not. So
the programs of this product ignore them, and a worker has a handler that does nothing: what a Tool starts can be ended
by the Tool as ever. It is also ended by the scheduler.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partitions.line import KeeperView

WARNINGS = (signal.SIGTERM, signal.SIGUSR1)
SETTLE_S = {signal.SIGTERM: 1.0, signal.SIGUSR1: 0.0}
"""How long a keeper waits before it passes a warning on, in s: launchers and schedulers send SIGTERM also to what the
Director has just let go, and the end of the line, which is on its way then, says more."""


def ignore() -> None:
    """Lets this process and all programs that it starts outlive the warnings."""
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)


def outlive() -> None:
    """Lets this process outlive the warnings, and not the programs that it starts."""
    for number in WARNINGS:
        signal.signal(number, _nothing)
        signal.siginterrupt(number, False)  # a Tool's library may not know that a call can be cut short


def _nothing(number: int, frame: object) -> None:
    pass


class Warned:
    """The warnings that a process has had.

    Args:
        keep_s: How long it goes on after a SIGTERM, in s.
        clock: The time in s, of any monotonic clock.
    """

    def __init__(self, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._since: dict[signal.Signals, float] = {}
        self._told: set[signal.Signals] = set()

    def listen(self) -> None:
        """Handles the signals from now on."""
        for number in WARNINGS:
            signal.signal(number, self.note)

    def note(self, number: int, frame: object = None) -> None:
        """Notes that a signal came. The first of its kind counts."""
        self._since.setdefault(signal.Signals(number), self._clock())

    def due(self) -> list[signal.Signals]:
        """What is to be passed on now; each kind once."""
        now = self._clock()
        found = [number for number, at in self._since.items() if now - at >= SETTLE_S[number]]
        new = [number for number in found if number not in self._told]
        self._told.update(new)
        return new

    @property
    def over(self) -> bool:
        """Whether the time after SIGTERM is over."""
        at = self._since.get(signal.SIGTERM)
        return at is not None and self._clock() - at >= self._keep_s


def word_of(number: signal.Signals, keepers: Sequence[KeeperView]) -> str | None:
    """What the scheduler has told the nodes of a Partition by a signal, in words. Pure.

    Nobody sends SIGUSR1 but to warn, so one node that has had it is enough. SIGTERM is sent to all that runs on a node
    that is shut down, too: that is the end of this node, and not of the others. So more than half must have had it.

    Args:
        number: The signal.
        keepers: The keepers that hold the line.

    Returns:
        None if it has told them nothing.
    """
    nodes = [keeper.node or keeper.host for keeper in keepers if number in keeper.warned]
    if not nodes or (number is signal.SIGTERM and 2 * len(nodes) <= len(keepers)):
        return None
    others = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"the scheduler warned the nodes: {number.name} on {nodes[0]}{others}"
