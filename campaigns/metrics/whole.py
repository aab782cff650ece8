"""Everything that is computed of a campaign's record at once: what a report, a table and the plots are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaigns import reading
from campaigns.crystals.candidate import Crystal
from campaigns.errors import nearest, refuse
from campaigns.metrics.episode import Episode, Known
from campaigns.metrics.known import KnownFile
from campaigns.metrics.of_campaign import default_baseline, episodes_of, latencies_of, name_of, score_label
from campaigns.metrics.phases import SystemPhases, phases_of
from campaigns.metrics.summary import Summary, summarise
from campaigns.metrics.written import write_summary


@dataclass(frozen=True)
class Results:
    """What a campaign came to, or has come to so far.

    Attributes:
        campaign: Its record.
        episodes: Those that have begun.
        summary: Their numbers.
        phases: By system, where candidates are crystals.
        latencies_s: Times of decisions by policy, in s.
        unfinished: How many episodes have not come to an end, those that have not begun included.
    """

    campaign: reading.Campaign
    episodes: tuple[Episode, ...]
    summary: Summary
    phases: Mapping[str, SystemPhases]
    latencies_s: Mapping[str, Sequence[float]]
    unfinished: int

    @property
    def about(self) -> dict[str, Any]:
        """Head of ``summary.json``."""
        return {
            "name": self.campaign.name,
            "goal": self.campaign.goal,
            "seed": self.campaign.seed,
            "unfinished_episodes": self.unfinished,
        }


def results_of(campaign: reading.Campaign, baseline: str | None = None, known: KnownFile | None = None) -> Results:
    """Computes everything.

    Args:
        campaign: Its record.
        baseline: The policy that others are compared with; None: that named ``random``, else the first.
        known: What is known to be there; None: of crystals what is stable beside everything that was evaluated.

    Raises:
        NotAcceptable: If nothing was evaluated yet, or the baseline is no policy of the campaign that has begun.
        MissingExtraError: If there are crystals, and pymatgen is not installed.
    """
    given = {} if known is None else known.systems
    crystals = {
        system: ([Crystal.from_json(document) for document in one.candidates], one.source)
        for system, one in given.items()
        if any("cell_angstrom" in document for document in one.candidates)
    }
    phases = phases_of(campaign, crystals)
    names = {place: name for one in phases.values() for place, name in one.names.items()}
    episodes = episodes_of(campaign, names)
    there = list(dict.fromkeys(episode.policy for episode in episodes))
    if not any(episode.evaluations for episode in episodes):
        raise refuse(str(campaign.folder), "nothing was evaluated yet", "Wait for the first Outcome, or resume it")
    if baseline is not None and baseline not in there:
        raise refuse("--baseline", f"no policy {baseline!r} has begun", nearest(baseline, there, "Policies"))
    chosen = baseline or default_baseline(campaign)
    sets = {system: one.known for system, one in phases.items()}
    sets |= {
        system: Known(frozenset(name_of(document) for document in one.candidates), frozenset(one.formulas), one.source)
        for system, one in given.items()
        if system not in sets
    }
    return Results(
        campaign=campaign,
        episodes=tuple(episodes),
        summary=summarise(episodes, baseline=chosen if chosen in there else there[0], known=sets),
        phases=phases,
        latencies_s=latencies_of(episodes),
        unfinished=sum(episode.ended is None for episode in campaign.episodes),
    )


def write_results(results: Results, folder: Path) -> list[Path]:
    """Writes ``summary.json``, ``episodes.csv``, ``curves.csv`` and ``plots/*.png`` (and ``.svg``) into a folder.

    Raises:
        OSError: If one cannot be written.
    """
    from campaigns.plots.written import write_plots

    return [*write_summary(folder, results.summary, results.about), *write_plots(folder / "plots", drawn(results))]


def drawn(results: Results) -> list[Any]:
    """All figures, as `campaigns.plots.written.Drawn`. Loads matplotlib."""
    from campaigns.plots.written import Phases, draw

    phases = {system: Phases(one.elements, one.phases) for system, one in results.phases.items()}
    return list(draw(results.summary, f"Best {score_label(results.campaign)}", results.latencies_s, phases))
