"""A scorer that asks an oracle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from campaigns.components import ScoreResult
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.energies import SCORE_FUNCTIONS, ScoreFunction
from campaigns.crystals.environment import CrystalEnvironment, crystals_of
from campaigns.crystals.oracle import Verdict
from campaigns.environment import View
from campaigns.stateful import Stateful


class Oracle(Stateful, Protocol):
    """Says what energies crystals have. `campaigns.crystals.ToolOracle` is one."""

    def evaluate(self, crystals: Sequence[Crystal]) -> list[Verdict]:
        """One verdict for each, in their order."""
        ...

    def formation_energy(self, crystal: Crystal, energy_ev_per_atom: float, elements: Sequence[str]) -> float:
        """Formation energy per atom in eV, by the oracle's own method."""
        ...


class OracleFailedError(ValueError):
    """An oracle could evaluate none of the candidates. Its text says why."""


class OracleScorer:
    """Ranks candidates by what an oracle says of their energy: less is better.

    Candidates that the oracle could not evaluate come last, one below the lowest score of the others: that is a place
    in the order, and no energy; ``details`` say why there is none. If there is one for none of
    them, it is an error.

    With an oracle of another method than the environment's, formation energies are from the oracle's own references,
    and are compared with the environment's hull.

    Args:
        oracle: Says what energies crystals have.
        score_function: ``energy_per_atom``, ``formation_energy_per_atom`` or ``e_above_hull``; a score is the negative,
            in eV per atom.
        enable_cache: Whether an energy is kept for each geometry, and not computed again.
        rerank_on_state_change: Only with ``e_above_hull`` and the cache: whether a score is that above the hull of
            today; if false, that of the first time.

    Raises:
        ValueError: If there is no such score function.
    """

    scorer_name = "OracleScorer"

    def __init__(
        self,
        oracle: Oracle,
        score_function: ScoreFunction = "e_above_hull",
        enable_cache: bool = True,
        rerank_on_state_change: bool = False,
    ) -> None:
        if score_function not in SCORE_FUNCTIONS:
            raise ValueError(f"score_function: {score_function!r} is none of {', '.join(SCORE_FUNCTIONS)}")
        self._oracle = oracle
        self._score_function = score_function
        self._cache = enable_cache
        self._rerank = rerank_on_state_change
        self._verdicts: dict[str, Verdict] = {}
        self._scores: dict[str, float] = {}

    def score(self, candidates: Sequence[Crystal], view: View[Crystal]) -> list[ScoreResult]:
        """See `campaigns.components.Scorer`.

        Raises:
            OracleFailedError: If the oracle could evaluate none of them.
        """
        if not candidates:
            return []
        environment = crystals_of(view, self.scorer_name)
        missing = {one.key: one for one in candidates if one.key not in self._verdicts}
        verdicts = self._verdicts | dict(
            zip(missing, self._oracle.evaluate(list(missing.values())) if missing else [], strict=True)
        )
        found = [verdicts[one.key] for one in candidates]
        scores = [self._score(one, verdict, environment) for one, verdict in zip(candidates, found, strict=True)]
        self._remember(candidates, found, scores)
        known = [score for score in scores if score is not None]
        if not known:
            raise OracleFailedError(_failed(found))
        last = min(known) - 1.0
        asked = set(missing)
        results = []
        for one, verdict, score in zip(candidates, found, scores, strict=True):
            cost = {"oracle_evaluations": 1.0} if one.key in asked else {}
            asked.discard(one.key)
            details = self._details(verdict, from_cache=one.key not in missing)
            results.append(ScoreResult(last if score is None else score, self.scorer_name, details, cost))
        return results

    def _score(self, crystal: Crystal, verdict: Verdict, environment: CrystalEnvironment) -> float | None:
        if verdict.energy_ev_per_atom is None:
            return None
        if self._score_function == "energy_per_atom":
            return -verdict.energy_ev_per_atom
        if not self._rerank and crystal.key in self._scores:
            return self._scores[crystal.key]
        elements = environment.elements
        value = self._oracle.formation_energy(crystal, verdict.energy_ev_per_atom, elements)
        if self._score_function == "e_above_hull":
            value = environment.hull.above(environment.fractions_of(crystal.formula), value)
        return -value

    def _remember(
        self, candidates: Sequence[Crystal], verdicts: Sequence[Verdict], scores: Sequence[float | None]
    ) -> None:
        if not self._cache:
            return
        for one, verdict, score in zip(candidates, verdicts, scores, strict=True):
            self._verdicts[one.key] = verdict
            if score is not None:
                self._scores.setdefault(one.key, score)

    def _details(self, verdict: Verdict, *, from_cache: bool) -> dict[str, Any]:
        settings = getattr(self._oracle, "settings", None)
        details: dict[str, Any] = {"score_function": self._score_function, "from_cache": from_cache}
        if settings is not None:
            details["tool"] = settings.tool.name
            details["calculator"] = settings.calculator
            details["geometry"] = "relaxed" if settings.relaxes else "as proposed"
        if verdict.energy_ev_per_atom is None:
            return {**details, "failed": verdict.reason}
        return {**details, "energy_per_atom_ev": verdict.energy_ev_per_atom}

    def get_state(self) -> dict[str, Any]:
        """The cache, by geometry, and the oracle's state."""
        return {
            "verdicts": {key: [one.energy_ev_per_atom, one.reason] for key, one in self._verdicts.items()},
            "scores": dict(self._scores),
            "oracle": self._oracle.get_state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._verdicts = {key: Verdict(energy, reason) for key, (energy, reason) in state["verdicts"].items()}
        self._scores = dict(state["scores"])
        self._oracle.load_state(state["oracle"])


def _failed(verdicts: Sequence[Verdict]) -> str:
    reasons = Counter(verdict.reason for verdict in verdicts)
    said = "; ".join(f"{number} × {reason}" for reason, number in reasons.most_common(3))
    return f"OracleScorer: the oracle could evaluate none of {len(verdicts)} candidates: {said}"
