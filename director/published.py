"""The Outcomes that a Director has made known, in pages.

Outcomes never change, so those that clients ask for most are kept at hand: the latest, for who follows, and the first,
for who has just come. What lies between is read from the ledger, and waits for its turn at the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from director.ledger import Entry

TAIL = 4096
HEAD = 1024


class Published:
    """Outcomes in the order in which they were journaled.

    Args:
        page: Reads from the ledger: so many Outcomes after a cursor.

    Attributes:
        last_seq: Cursor of the latest Outcome; 0 before the first.
        fetched_seq: Cursor up to which some client has all Outcomes.
    """

    def __init__(self, page: Callable[[int, int], Awaitable[list[Entry]]]) -> None:
        self.last_seq = 0
        self.fetched_seq = 0
        self._page = page
        self._head: list[Entry] = []
        self._tail: deque[Entry] = deque(maxlen=TAIL)
        self._news = asyncio.Condition()
        self._closed = False

    async def add(self, entries: Sequence[Entry]) -> None:
        """Makes Outcomes known that are on disk."""
        if self.last_seq == (self._head[-1].seq if self._head else 0):  # else some are missing between
            self._head.extend(entries[: HEAD - len(self._head)])
        self._tail.extend(entries)
        self.last_seq = entries[-1].seq
        await self._tell()

    async def close(self) -> None:
        """There will be no more: whoever waits goes on."""
        self._closed = True
        await self._tell()

    async def after(self, cursor: int, limit: int, wait_s: float) -> list[Entry]:
        """Outcomes after a cursor; waits for one, for a while, if there is none.

        Args:
            cursor: Sequence number of the last Outcome seen; 0 for all.
            limit: How many at most.
            wait_s: How long to wait, in s.
        """
        self.fetched_seq = max(self.fetched_seq, min(cursor, self.last_seq))
        if self.last_seq <= cursor and wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s), self._news:
                    await self._news.wait_for(lambda: self.last_seq > cursor or self._closed)
        if self.last_seq <= cursor:
            return []
        if self._tail and self._tail[0].seq <= cursor + 1:
            return [entry for entry in self._tail if entry.seq > cursor][:limit]
        if self._head and cursor < self._head[-1].seq:
            return [entry for entry in self._head if entry.seq > cursor][:limit]
        page = await self._page(cursor, limit)
        if cursor == 0 and not self._head:
            self._head = page[:HEAD]
        return page

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()
