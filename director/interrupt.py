"""The signal that ends a Tool's Python code, and nothing else in its worker.

A Tool may not look at its stop flag for long: in a foreign library's Python code, or in an endless loop. The signal
then raises in its code, if and only if the attempt that runs at that moment was asked to stop. A signal that comes too
late, too early or for another attempt does nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from partitions.environment import INTERRUPT_SIGNAL
from simulations.workspace import Stop, Workspace

IMPORT_FILES = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
AGAIN_S = 0.1
LOOKS = 100


class Interrupted(BaseException):
    """Raised in a Tool's code by the signal. No error of the Tool's, so its handlers of those let it pass."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self.stop = stop


class Interrupts:
    """Lets the signal raise `Interrupted` while a Tool runs, once for each attempt at most."""

    def __init__(self) -> None:
        self._running: Workspace | None = None
        self._heard = 0
        self._looking = False

    def install(self) -> None:
        """Handles the signal from now on.

        Raises:
            ValueError: If this is not the main thread.
        """
        signal.signal(INTERRUPT_SIGNAL, self._handle)

    @contextmanager
    def allowed(self, workspace: Workspace) -> Iterator[None]:
        """Within it the signal raises, if the attempt of this workspace was asked to stop."""
        self._running = workspace
        try:
            yield
        finally:
            self._running = None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self._heard += 1
        if self._looking:  # a signal that comes while the flag is read is no reason to go deeper: it is read again
            return
        workspace, stop = self._look()
        if stop is None:
            return
        if _importing(frame):
            # A half-imported module could not be imported again in this process, which other attempts share.
            later = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signum))
            later.daemon = True
            later.start()
            return
        # Python runs handlers between instructions of the main thread, also within a handler: whichever takes this away
        # raises, and no other does.
        if self._running is workspace:
            self._running = None
            raise Interrupted(stop)

    def _look(self) -> tuple[Workspace | None, Stop | None]:
        """What runs, and whether it was asked to stop; read again as long as signals come meanwhile."""
        self._looking = True
        try:
            for _ in range(LOOKS):
                heard, workspace = self._heard, self._running
                stop = None if workspace is None else workspace.flag()
                if stop is not None or heard == self._heard:
                    break
            return workspace, stop
        finally:
            self._looking = False


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename in IMPORT_FILES:
            return True
        frame = frame.f_back
    return False
