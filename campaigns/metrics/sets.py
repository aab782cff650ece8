"""What was found, beside what is known to be there: by structure, and by reduced formula."""

from __future__ import annotations

from collections.abc import Collection

from campaigns.metrics.episode import Episode
from campaigns.metrics.numbers import Undefined, Value

NOTHING_KNOWN = Undefined("no set of what is known was given")
NOTHING_FOUND = Undefined("the episode found nothing")
NO_FORMULAS = Undefined("these candidates have no formulas")


def found_structures(episode: Episode) -> frozenset[str]:
    """The structures of all successes."""
    return frozenset(evaluation.structure for evaluation in episode.evaluations if evaluation.success)


def found_formulas(episode: Episode) -> frozenset[str]:
    """The reduced formulas of all successes."""
    return frozenset(
        evaluation.formula
        for evaluation in episode.evaluations
        if evaluation.success and evaluation.formula is not None
    )


def recall(found: Collection[str], known: Collection[str] | None) -> Value:
    """The share of what is known that was found: from 0 to 1."""
    if known is None:
        return NOTHING_KNOWN
    if not known:
        return Undefined("nothing is known to be there")
    return len(set(found) & set(known)) / len(set(known))


def precision(found: Collection[str], known: Collection[str] | None) -> Value:
    """The share of what was found that is known: from 0 to 1."""
    if known is None:
        return NOTHING_KNOWN
    if not found:
        return NOTHING_FOUND
    return len(set(found) & set(known)) / len(set(found))


def novelty(found: Collection[str], known: Collection[str] | None) -> Value:
    """The share of what was found that is not known: 1 less the precision."""
    share = precision(found, known)
    return share if isinstance(share, Undefined) else 1 - share
