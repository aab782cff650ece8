"""Filters for crystals: chemistry, distances, and whether something was there before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from campaigns.components import FilterResult
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.environment import crystals_of
from campaigns.crystals.geometry import closest_pair
from campaigns.crystals.matching import Matcher
from campaigns.crystals.smact_rules import SmactRules
from campaigns.environment import View
from campaigns.stateful import Stateless


class SMACTValidityFilter(Stateless):
    """Keeps out compositions that are not charge neutral with electronegativities in order; alloys pass.

    The rules are SMACT's (D. W. Davies et al., J. Open Source Softw. 2019, 4, 1361). Extra ``materials``.

    Raises:
        ValueError: If SMACT is not installed.
    """

    filter_name = "SMACTValidityFilter"

    def __init__(self) -> None:
        self._rules = SmactRules(self.filter_name)

    def filter(self, candidates: Sequence[Crystal], view: View[Crystal]) -> list[FilterResult]:
        """See `campaigns.components.Filter`."""
        return [self._result(candidate) for candidate in candidates]

    def _result(self, candidate: Crystal) -> FilterResult:
        if self._rules.passes(candidate.formula):
            return FilterResult(True, self.filter_name)
        reason = f"{candidate.reduced_formula} passes no charge balance and electronegativity test"
        return FilterResult(False, self.filter_name, reason)


class MinDistanceFilter(Stateless):
    """Keeps out crystals with two atoms too close to each other, or one too close to its own periodic copy.

    Args:
        min_distance_threshold: Least distance in Å that passes.

    Raises:
        ValueError: If the threshold is negative.
    """

    filter_name = "MinDistanceFilter"

    def __init__(self, min_distance_threshold: float = 0.5) -> None:
        if not (math.isfinite(min_distance_threshold) and min_distance_threshold >= 0):
            raise ValueError(f"min_distance_threshold: {min_distance_threshold} must be 0 or more, in Å")
        self._threshold = min_distance_threshold

    def filter(self, candidates: Sequence[Crystal], view: View[Crystal]) -> list[FilterResult]:
        """See `campaigns.components.Filter`."""
        return [self._result(candidate) for candidate in candidates]

    def _result(self, candidate: Crystal) -> FilterResult:
        closest = closest_pair(candidate, self._threshold)
        if closest is None:
            return FilterResult(True, self.filter_name)
        first, second, distance = closest
        pair = f"{candidate.species[first]} and {candidate.species[second]}"
        reason = f"{candidate.formula}: {pair} are {distance:.3f} Å apart, less than {self._threshold:g} Å"
        return FilterResult(False, self.filter_name, reason)


class UniquenessFilter(Stateless):
    """Keeps out structures that were attempted before, are being evaluated, or stand earlier in the same batch.

    Attempted structures count as they were proposed and as they were relaxed to. Structures are compared by pymatgen's
    StructureMatcher (S. P. Ong et al., Comput. Mater. Sci. 2013, 68, 314). Extra ``materials``.

    Args:
        ltol: Tolerance of lengths, as a fraction.
        stol: Tolerance of sites, as a fraction of the cube root of the volume per atom.
        angle_tol: Tolerance of angles in degrees.
        primitive_cell: Whether primitive cells are compared, so that a supercell is the same structure.

    Raises:
        ValueError: If a tolerance is not positive, or pymatgen is not installed.
    """

    filter_name = "UniquenessFilter"

    def __init__(
        self, ltol: float = 0.2, stol: float = 0.3, angle_tol: float = 5.0, primitive_cell: bool = True
    ) -> None:
        self._matcher = Matcher(ltol, stol, angle_tol, primitive_cell)

    def filter(self, candidates: Sequence[Crystal], view: View[Crystal]) -> list[FilterResult]:
        """See `campaigns.components.Filter`."""
        known: dict[str, list[tuple[Crystal, str]]] = {}
        wanted = {candidate.reduced_formula for candidate in candidates}
        for crystal, label in _known(view):
            if crystal.reduced_formula in wanted:
                known.setdefault(crystal.reduced_formula, []).append((crystal, label))
        results = []
        for number, candidate in enumerate(candidates):
            alike = known.setdefault(candidate.reduced_formula, [])
            twin = next((label for crystal, label in alike if self._matcher.same(candidate, crystal)), None)
            if twin is None:
                alike.append((candidate, f"candidate {number} of this batch"))
                results.append(FilterResult(True, self.filter_name))
            else:
                reason = f"{candidate.formula} is the same structure as {twin}"
                results.append(FilterResult(False, self.filter_name, reason))
        return results


def _known(view: View[Crystal]) -> Iterator[tuple[Crystal, str]]:
    for observation in view.observations:
        yield observation.candidate, f"{observation.outcome_id}, attempted before"
    environment = crystals_of(view, UniquenessFilter.filter_name)
    if environment.settings.relaxes:
        for entry in environment.entries:
            yield entry.crystal, f"that to which {entry.name} was relaxed"
    for candidate in view.pending:
        yield candidate, "one that is being evaluated"
