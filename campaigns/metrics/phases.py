"""Crystals of a campaign: which evaluations led to the same structure, and what is stable beside all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from campaigns import reading
from campaigns.campaign_file import merged
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.formulas import counts_of, fractions, reduced_formula
from campaigns.crystals.hull import Hull
from campaigns.crystals.matching import Matcher
from campaigns.metrics.episode import Known
from campaigns.plots.phases import Phase

Place = tuple[str, str, int, int]
"""System, policy, number of the episode, index of the evaluation."""

ENERGY = "formation_energy_ev_per_atom"
DEFAULT_TOLERANCE_EV_PER_ATOM = 0.001


@dataclass(frozen=True)
class SystemPhases:
    """What was evaluated in one system of crystals, by all policies in all episodes.

    Attributes:
        elements: In the order of the environment.
        names: Name of the structure that each evaluation led to.
        phases: What was evaluated, for plots.
        known: What of it is stable beside all of it.
    """

    elements: tuple[str, ...]
    names: Mapping[Place, str]
    phases: tuple[Phase, ...]
    known: Known


@dataclass(frozen=True)
class _Found:
    place: Place
    crystal: Crystal
    formation_energy_ev_per_atom: float


def phases_of(
    campaign: reading.Campaign, given: Mapping[str, tuple[Sequence[Crystal], str]] | None = None
) -> dict[str, SystemPhases]:
    """The crystals of a campaign, by system. Systems of other candidates are left out.

    Two evaluations are of one structure if pymatgen's StructureMatcher says so of what they came to, with the
    environment's tolerances. Known are by default the structures that lie, at the end, within its stability tolerance
    of the hull of everything that all policies evaluated in all episodes.

    Args:
        campaign: Its record.
        given: Known structures by system, and where they are from; they take the place of those.

    Raises:
        MissingExtraError: If pymatgen is not installed, and there are crystals.
    """
    found = {}
    for system in campaign.systems:
        evaluated = [
            _Found(
                (system.name, policy.name, episode.number, one.index),
                Crystal.from_json(one.details["structure"]),
                float(one.details[ENERGY]),
            )
            for policy in system.policies
            for episode in policy.episodes
            for one in episode.evaluations
            if ENERGY in one.details and "structure" in one.details
        ]
        environment = _environment(campaign.config, system.name)
        elements = tuple(environment.get("elements") or ())
        if evaluated and elements:
            supplied, source = (given or {}).get(system.name, (None, ""))
            found[system.name] = _system(evaluated, elements, environment, supplied, source)
    return found


def _environment(config: Mapping[str, Any], system: str) -> dict[str, Any]:
    changes = [one for one in config.get("systems") or () if one["name"] == system]
    base = dict(config.get("environment") or {})
    return merged(base, changes[0].get("environment") or {}) if changes else base


def _system(
    evaluated: Sequence[_Found],
    elements: tuple[str, ...],
    environment: Mapping[str, Any],
    supplied: Sequence[Crystal] | None,
    source: str,
) -> SystemPhases:
    tolerances = {
        name: environment[name] for name in ("ltol", "stol", "angle_tol", "primitive_cell") if name in environment
    }
    groups = _Groups(Matcher(**tolerances))
    known: Known | None = None
    if supplied is not None:
        names = frozenset(groups.name(crystal) for crystal in supplied)
        formulas = frozenset(crystal.reduced_formula for crystal in supplied)
        known = Known(names, formulas, source)
    names_of = {one.place: groups.name(one.crystal) for one in evaluated}
    shares = [fractions(counts_of(one.crystal.species), elements) for one in evaluated]
    phases = tuple(
        Phase(
            one.crystal.reduced_formula,
            dict(zip(elements, share, strict=True)),
            one.formation_energy_ev_per_atom,
            one.place[1],
        )
        for one, share in zip(evaluated, shares, strict=True)
    )
    if known is None:
        known = _stable(evaluated, shares, names_of, environment)
    return SystemPhases(elements, names_of, phases, known)


def _stable(
    evaluated: Sequence[_Found],
    shares: Sequence[tuple[float, ...]],
    names: Mapping[Place, str],
    environment: Mapping[str, Any],
) -> Known:
    tolerance = float(environment.get("stability_tolerance", DEFAULT_TOLERANCE_EV_PER_ATOM))
    hull = Hull(len(shares[0]))
    for one, share in zip(evaluated, shares, strict=True):
        hull.add(share, one.formation_energy_ev_per_atom)
    stable = [
        one
        for one, share in zip(evaluated, shares, strict=True)
        if hull.above(share, one.formation_energy_ev_per_atom) <= tolerance
    ]
    return Known(
        frozenset(names[one.place] for one in stable),
        frozenset(reduced_formula(one.crystal.formula) for one in stable),
        f"stable within {tolerance:g} eV/atom beside everything that all policies evaluated in all episodes",
    )


class _Groups:
    """Names for structures: the first of several equal ones gives the name."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._first: dict[str, list[tuple[str, Crystal]]] = {}
        self._known: dict[str, str] = {}

    def name(self, crystal: Crystal) -> str:
        if crystal.key not in self._known:
            group = self._first.setdefault(crystal.reduced_formula, [])
            for name, first in group:
                if self._matcher.same(crystal, first):
                    self._known[crystal.key] = name
                    break
            else:
                digest = hashlib.sha256(crystal.key.encode()).hexdigest()[:12]
                self._known[crystal.key] = f"{crystal.reduced_formula} {digest}"
                group.append((self._known[crystal.key], crystal))
        return self._known[crystal.key]
