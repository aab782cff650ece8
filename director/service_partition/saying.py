"""Telling people how a run's services come up, while they wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from director.service_partition.state import ServerState, ServicesFolder

LOOK_S = 0.5


class News:
    """What changes of the services of a run.

    Args:
        run_folder: The run folder; it need not be there yet.
    """

    def __init__(self, run_folder: Path) -> None:
        self._folder = ServicesFolder(run_folder)
        self._told: dict[tuple[str, str], tuple[str, int, str | None]] = {}

    def lines(self) -> Iterator[str]:
        """What has changed since this was called the last time."""
        for name in self._folder.names():
            found = self._folder.read(name)
            for server in found.servers if found else ():
                what = (server.state, server.starts, server.reason)
                # What is left of an earlier life of the run is no news.
                if self._told.get((name, server.node)) != what and server.state != "stopped" and server.starts:
                    self._told[name, server.node] = what
                    yield sentence(name, server)


async def tell_services(run_folder: Path, say: Callable[[str], None]) -> None:
    """Says whenever the state of a server changes, until it is cancelled.

    Args:
        run_folder: The run folder; it need not be there yet.
        say: Says something to people.
    """
    news = News(run_folder)
    while True:
        for line in news.lines():
            say(line)
        await asyncio.sleep(LOOK_S)


def sentence(name: str, server: ServerState) -> str:
    """What to say of a server."""
    again = f", start {server.starts}" if server.starts > 1 and server.state != "up" else ""
    where = f" at {server.base_url}" if server.state == "up" else ""
    reason = f" ({server.reason})" if server.reason else ""
    return f"service {name} on {server.node}: {server.state}{again}{where}{reason}"
