"""What a campaign saves of a component, so that it goes on after any interruption as if there had been none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Stateful(Protocol):
    """Something whose state is saved at each step of a campaign.

    A component made anew with the same arguments, and given the state of another one, decides from then on exactly as
    that one does.
    """

    def get_state(self) -> dict[str, Any]:
        """All that has changed since it was made, as JSON has it: random generators, caches, counters."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes the place of the one that `get_state` was asked of."""
        ...


class Stateless:
    """A component that remembers nothing."""

    def get_state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Does nothing."""
