"""Filters that know nothing of what a candidate is."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from campaigns.components import Filter, FilterResult
from campaigns.environment import View
from campaigns.stateful import Stateless

C = TypeVar("C")


class NoOpFilter(Stateless, Generic[C]):
    """Lets everything pass."""

    filter_name = "NoOpFilter"

    def filter(self, candidates: Sequence[C], view: View[C]) -> list[FilterResult]:
        """All pass."""
        return [FilterResult(True, self.filter_name) for _ in candidates]


class FilterChain(Generic[C]):
    """Filters one after another: each is asked of what those before it let pass.

    Args:
        filters: In the order in which they are asked.
    """

    def __init__(self, filters: Sequence[Filter[C]]) -> None:
        self.filters = tuple(filters)

    def filter(self, candidates: Sequence[C], view: View[C]) -> list[FilterResult]:
        """Says of each candidate which filter rejected it first, or that it passed all.

        Raises:
            ValueError: If a filter does not answer for each candidate.
        """
        results = [FilterResult(True, type(self).__name__) for _ in candidates]
        left = list(range(len(candidates)))
        for one in self.filters:
            if not left:
                break
            found = one.filter([candidates[index] for index in left], view)
            if len(found) != len(left):
                raise ValueError(f"{type(one).__name__} gave {len(found)} results for {len(left)} candidates")
            for index, result in zip(left, found, strict=True):
                if not result.passed:
                    results[index] = result
            left = [index for index, result in zip(left, found, strict=True) if result.passed]
        return results

    def get_state(self) -> dict[str, Any]:
        """The state of each filter."""
        return {"filters": [one.get_state() for one in self.filters]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        for one, mine in zip(self.filters, state["filters"], strict=True):
            one.load_state(copy.deepcopy(mine))


class UniqueFilter(Stateless, Generic[C]):
    """Rejects what was evaluated before, is being evaluated, or stands earlier in the same list.

    Equal is what the environment writes down equally; crystals that are equal but for a rotation are found by the
    UniquenessFilter of crystals.
    """

    filter_name = "UniqueFilter"

    def filter(self, candidates: Sequence[C], view: View[C]) -> list[FilterResult]:
        """The first of several equal ones passes, unless it is known."""
        known = {self._key(view, one.candidate): "was evaluated before" for one in view.observations}
        known |= {self._key(view, one): "is being evaluated" for one in view.pending}
        results = []
        for candidate in candidates:
            key = self._key(view, candidate)
            results.append(FilterResult(key not in known, self.filter_name, known.get(key)))
            known.setdefault(key, "stands twice in the list")
        return results

    @staticmethod
    def _key(view: View[C], candidate: C) -> str:
        return json.dumps(view.environment.to_json(candidate), sort_keys=True)
