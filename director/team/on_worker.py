"""A call of a model on a worker of a node: what Parsl runs there."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from campaigns.llm.access import Key
from campaigns.llm.packages import load
from director.team.logic import ask
from director.team.wire import CALL, SAID
from partitions.environment import WORKER_VARIABLE

LOOK_S = 0.2


def warm() -> None:
    """Loads what every call needs."""
    load("langchain_openai")


def run_call(call: str, key: str | None, flag: str) -> str:
    """Runs a call.

    Args:
        call: The call, as JSON.
        key: The key of its service.
        flag: A file that is there when nobody wants the answer any more.

    Returns:
        What became of it, as JSON.
    """
    stop, ended = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_S):
            if Path(flag).exists():
                stop.set()
                return

    threading.Thread(target=look, name="stop-flag", daemon=True).start()
    try:
        return SAID.dump_json(ask(CALL.validate_json(call), Key(key) if key else None, stop, _where())).decode()
    finally:
        ended.set()


def _where() -> str:
    """This worker's name, as its pool has told it."""
    told = json.loads(os.environ.get(WORKER_VARIABLE, "{}"))
    return f"{told.get('host', os.uname().nodename)}/{told.get('rank', os.getpid())}"
