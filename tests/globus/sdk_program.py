"""What the laptop runs in tests of the stack: the unmodified SDK, told by lines of JSON what to do.

Each line on standard input is a submission, ``{"name", "function", "arguments", "options"}``; lines on standard output
say what becomes of its future, ``{"name", "result"}`` or ``{"name", "error"}``, and ``{"name", "task"}`` as soon as
the service has it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import Any

from globus_compute_sdk import Client, Executor


def where() -> dict[str, Any]:
    """Where a task runs."""
    import os
    import socket

    secrets = [name for name in os.environ if name.startswith("GLOBUS") and "SECRET" in name]
    return {
        "host": socket.gethostname(),
        "uid": os.getuid(),
        "run_root": os.environ["DIRECTOR_RUN_ROOT"],
        "secrets": secrets,
    }


def size(text: str) -> int:
    """How much has come."""
    return len(text)


def make(characters: int) -> str:
    """A large result."""
    return "x" * characters


def fail() -> None:
    """A task of its own fault."""
    raise ValueError("as asked")


def run_until_told(folder: str, name: str) -> str:
    """Says that it runs, and runs until there is a file that ends it."""
    import os
    import time
    from pathlib import Path

    with (Path(folder) / f"{name}.runs").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    while not (Path(folder) / f"{name}.end").exists():
        time.sleep(0.05)
    (Path(folder) / f"{name}.ended").touch()
    return name


FUNCTIONS = {function.__name__: function for function in (where, size, make, fail, run_until_told)}


def main(endpoint: str) -> None:
    """Submits what is asked for, until the input ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("pika").setLevel(logging.WARNING)
    writing = threading.Lock()

    def say(**what: Any) -> None:
        with writing:
            sys.stdout.write(json.dumps(what) + "\n")
            sys.stdout.flush()

    client = Client()
    executors: dict[str, Executor] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name, options = asked["name"], asked.get("options", {})
        key = json.dumps(options, sort_keys=True)
        if key not in executors or executors[key]._stopped:  # one that was refused a submission takes no other
            executors[key] = Executor(endpoint_id=endpoint, client=client, user_endpoint_config=options)
        begin = time.monotonic()
        future = executors[key].submit(FUNCTIONS[asked["function"]], *asked.get("arguments", []))

        def ended(future: Any, name: str = name, begin: float = begin) -> None:
            took_s = round(time.monotonic() - begin, 3)
            if (error := future.exception()) is not None:
                say(name=name, error=str(error), kind=type(error).__name__, took_s=took_s)
            else:
                say(name=name, result=future.result(), took_s=took_s)

        future.add_done_callback(ended)
        while future.task_id is None and not future.done():
            time.sleep(0.01)
        say(name=name, task=future.task_id)
    os._exit(0)  # the SDK waits for all its futures, and some never come


if __name__ == "__main__":
    main(sys.argv[1])
