"""Long work on an event loop that others wait for too."""

from __future__ import annotations

import asyncio
import time

HOLD_S = 0.01


class Breathing:
    """Lets everything else on the event loop have its turn whenever work has held it for a while."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def __call__(self) -> None:
        """To be awaited between two pieces of work; does nothing if the last turn of others was just now."""
        if time.perf_counter() - self._since >= HOLD_S:
            await asyncio.sleep(0)
            self._since = time.perf_counter()
