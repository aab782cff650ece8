"""What workers say to their keeper, which passes it on to the Director."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from partitions.environment import REPORTS_VARIABLE


def report(said: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Says something. It is lost where there is no keeper: then its guard is about to end this worker.

    Args:
        said: JSON values, less than 4 KB; ``rank`` is the worker's.
        environment: The worker's environment.
    """
    with contextlib.suppress(OSError, KeyError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reports:
        reports.sendto(json.dumps(said).encode(), environment[REPORTS_VARIABLE])


@contextlib.contextmanager
def reported(rank: int, name: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Says that a worker begins something, and that it has ended it: in between it may be signalled.

    Args:
        rank: The worker's.
        name: What it is called.
        environment: The worker's environment.
    """
    report({"rank": rank, "began": name}, environment)
    try:
        yield
    finally:
        report({"rank": rank, "ended": name}, environment)
