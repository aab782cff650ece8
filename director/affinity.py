"""Which Director has a Request of one key, so that of equal ones in flight only one is run. Pure.

Every Director sees only what it has itself while that runs. What has ended, all of them see.
"""

from __future__ import annotations

from collections import Counter


class Affinity:
    """Remembers where Requests that are in flight were sent, by their keys; nothing else, so it stays small."""

    def __init__(self) -> None:
        # For each key its Directors, the latest last, with how many Requests of it each has.
        self._homes: dict[str, dict[int, int]] = {}
        self._flying: dict[str, tuple[str, int]] = {}
        self._waiting: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._flying)

    def home(self, key: str) -> int | None:
        """The Director that has a Request of this key now, the latest if several have; None if none has."""
        return next(reversed(self._homes.get(key, {})), None)

    def sent(self, name: str, key: str, director: int) -> None:
        """Notes that a Request was sent.

        Args:
            name: Its id.
            key: Its key.
            director: Where to.
        """
        if name in self._flying:
            return
        self._flying[name] = (key, director)
        homes = self._homes.setdefault(key, {})
        there = homes.pop(director, 0)
        homes[director] = there + 1
        if there:
            self._waiting[director] += 1

    def ended(self, name: str) -> None:
        """Notes that a Request has an Outcome, or is given up. One that is not known is left alone."""
        if name not in self._flying:
            return
        key, director = self._flying.pop(name)
        homes = self._homes[key]
        homes[director] -= 1
        if homes[director]:
            self._waiting[director] -= 1
            return
        del homes[director]
        if not homes:
            del self._homes[key]

    def waiting(self, director: int) -> int:
        """How many of a Director's Requests wait for an equal one, and keep no worker busy."""
        return self._waiting[director]

    def forget(self, director: int) -> None:
        """Forgets a Director that is gone."""
        for name in [name for name, (_, there) in self._flying.items() if there == director]:
            self.ended(name)
