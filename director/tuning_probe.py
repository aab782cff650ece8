"""A process that runs a Request over and over, pinned as a worker would be, and says how far it is.

`director.tuning_crew` starts it and gives it orders, one a line of JSON; it answers in the same way. It ends when its
standard input does.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from simulations.errors import Cancelled, Paused
from simulations.tool import find_tools
from simulations.workspace import Resources, Stop, Workspace


@dataclass
class Rehearsal(Workspace):
    """A Workspace whose Tool is listened to closely, and never costs more than the simulation itself.

    Attributes:
        say: Told how far it is: the time in s, and the amount of work.
        stop: Set when it is to stop.
        prepare: Whether it is to save what it has built, and to stop, as soon as the work begins.
    """

    say: Callable[[float, float], None] = lambda at, amount: None
    stop: threading.Event = field(default_factory=threading.Event)
    prepare: bool = False
    _begun: bool = field(default=False, init=False)

    def begin(self, *arguments: Any, **options: Any) -> None:
        """See `Workspace.begin`."""
        super().begin(*arguments, **options)
        self._begun = True

    def asked(self) -> Stop | None:
        """See `Workspace.asked`."""
        if self.stop.is_set():
            return Stop.CANCEL
        return Stop.PAUSE if self.prepare and self._begun else None

    def progress(self, report: Callable[[], Mapping[str, Any]], amount: float | None = None) -> None:
        """Passes on how far it is. What else there is to report is not asked for, since that takes time."""
        if amount is not None:
            self.say(time.monotonic(), amount)


class Probe:
    """Runs attempts, one after another.

    Args:
        answers: Where it says how far it is.
    """

    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers
        self._orders: queue.SimpleQueue[tuple[dict[str, Any], threading.Event] | None] = queue.SimpleQueue()
        self._tools = find_tools()

    def listen(self, orders: IO[str]) -> None:
        """Takes orders until there are no more."""
        stop = threading.Event()
        for line in orders:
            order = json.loads(line)
            if order.get("stop"):
                stop.set()
            else:
                stop = threading.Event()  # its own: one that comes late must not stop what follows
                self._orders.put((order, stop))
        stop.set()
        self._orders.put(None)

    def work(self) -> None:
        """Does as it is told, until there are no more orders."""
        while (given := self._orders.get()) is not None:
            self._say(self._run(*given))

    def _run(self, order: Mapping[str, Any], stop: threading.Event) -> dict[str, Any]:
        if order["cores"]:
            os.sched_setaffinity(0, order["cores"])
        folder = Path(order["folder"])
        workspace = Rehearsal(
            folder=folder,
            run_folder=folder.parent,
            resources=Resources("here", "here/0", order["threads"], order["accelerator"]),
            inputs={name: Path(path) for name, path in order["inputs_files"].items()},
            epoch=1 if order["prepare"] else 2,
            say=lambda at, amount: self._say({"at": at, "amount": amount}),
            stop=stop,
            prepare=order["prepare"],
        )
        tool = self._tools[order["tool"]]
        try:
            tool.run(tool.request.model_validate(order["inputs"]), workspace)
        except Paused:
            return {"ended": "prepared"}
        except Cancelled:
            return {"ended": "stopped"}
        except Exception as error:  # the boundary: a Tool may raise anything, and the one who asked is to hear of it
            return {"ended": "failed", "reason": f"{type(error).__name__}: {error}"}
        return {"ended": "failed", "reason": "it ended by itself, although it was given work without an end"}

    def _say(self, said: Mapping[str, Any]) -> None:
        self._answers.write(json.dumps(said) + "\n")
        self._answers.flush()


def main() -> None:
    """Works on orders from standard input."""
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    probe = Probe(answers)
    threading.Thread(target=probe.listen, args=(sys.stdin,), name="orders", daemon=True).start()
    probe.work()


if __name__ == "__main__":
    main()
