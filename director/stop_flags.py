"""The flags by which attempts are asked to stop: a file in the Request's folder, which its Tool looks at."""

from __future__ import annotations

import threading
from pathlib import Path

from simulations.workspace import Stop, stop_file


def replaces(new: Stop, old: str | None) -> bool:
    """Whether one reason to stop takes the place of another. Pure.

    Who is asked to pause may still be cancelled. Who is cancelled, or has run out of time, is not to go on later.

    Args:
        new: The reason now.
        old: The one given before; None if there is none.
    """
    return new.value != old and (new is not Stop.PAUSE or old not in {Stop.CANCEL.value, Stop.TIMEOUT.value})


class StopFlags:
    """The flags of a Director's Requests. Safe from several threads.

    Args:
        work: Where Requests have their folders.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self._lock = threading.Lock()

    def set(self, name: str, epoch: int, why: Stop) -> None:
        """Asks an attempt to stop. Whoever reads the flag meanwhile sees the old reason or the new one.

        Args:
            name: The Request's id.
            epoch: The attempt's.
            why: What its Tool is told.

        Raises:
            OSError: If the flag cannot be written.
        """
        flag = self._work / name / stop_file(epoch)
        with self._lock:
            if not replaces(why, _content(flag)):
                return
            flag.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = flag.with_name(flag.name + ".partial")
            partial.write_text(why.value)
            partial.replace(flag)


def _content(flag: Path) -> str | None:
    try:
        return flag.read_text()
    except FileNotFoundError:
        return None
