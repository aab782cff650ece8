"""The process: ``python -m compute_service FOLDER``.

FOLDER holds ``clients.json``, the secrets of the clients by their ids, and all that the service remembers.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from . import queues
from .queues import Consumer, Publisher
from .records import Records
from .service import ComputeService
from .web import HOST, PORT, application


class EventLog:
    """One line of JSON for each thing that happens, for tests to read."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("a", buffering=1)
        self._lock = threading.Lock()

    def note(self, kind: str, **values: Any) -> None:
        """Takes something down."""
        with self._lock:
            self._stream.write(json.dumps({"at": round(time.time(), 3), "kind": kind, **values}, default=str) + "\n")


def main(folder: Path) -> None:
    """Serves until it is killed."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # a broker that is away is not news ten times a second
    clients: dict[str, str] = json.loads((folder / "clients.json").read_text())
    log = EventLog(folder / "events.jsonl")
    service = ComputeService(clients, Records(folder / "service.sqlite"), Publisher(), log.note)
    handlers = {queues.RESULTS: service.take_result, queues.HEARTBEATS: service.take_heartbeat}
    Consumer(handlers, lambda queue, error: log.note("bad message", queue=queue, error=repr(error))).start()
    web.run_app(application(service, log.note), host=HOST, port=PORT, print=None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
