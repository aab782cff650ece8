"""The report of a campaign: its numbers, plots, and one page that opens anywhere."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from campaigns import reading
from campaigns.metrics.known import read_known
from campaigns.metrics.numbers import Spread, Undefined, Value
from campaigns.metrics.of_campaign import label_of
from campaigns.metrics.summary import METRICS, PolicySummary
from campaigns.metrics.whole import Results, drawn, results_of, write_results
from director.report import values
from simulations.disk import write_private

FILENAME = "report.html"
MOST_BEST = 15
MOST_FAULTS = 8
MOST_EPISODES = 200
NARROW_IN = 6.0
"""Figures that are wider than this do not stand beside another one."""

COLUMNS = (
    ("discoveries", "Discoveries"),
    ("best_score", "Best score"),
    ("audc", "AUDC"),
    ("efficiency", "Efficiency"),
    ("recall_structure", "Recall"),
    ("precision_structure", "Precision"),
    ("recall_formula", "Recall by formula"),
    ("precision_formula", "Precision by formula"),
    ("novelty", "Novelty"),
)
"""Numbers that are shown as mean ± standard error over episodes."""

OF_SUCCESSES = ("discoveries", "audc", "efficiency")

OF_MEANS = (("ef", "EF"), ("af", "AF"), ("af_best", "AF of best"), ("best_gain", "Gain of best"))
"""Numbers of mean curves."""


def report_campaign(folder: str | os.PathLike[str], baseline: str | None = None, known: Path | None = None) -> Path:
    """Writes numbers (``summary.json``, ``episodes.csv``, ``curves.csv``), ``plots`` and ``report.html`` of a campaign.

    Args:
        folder: The campaign's folder; it may still run.
        baseline: The policy that others are compared with; None: that named ``random``, else the first.
        known: JSON file with what is known to be there; None: see `campaigns.metrics.whole.results_of`.

    Returns:
        Path of the page.

    Raises:
        NotAcceptable: If there is no campaign in the folder, nothing was evaluated yet, or an argument is not right.
        OSError: If something cannot be written.
    """
    place = Path(folder).resolve()
    campaign = reading.read_campaign(place)
    results = results_of(campaign, baseline, None if known is None else read_known(known))
    write_results(results, place)
    page = build_page(results)
    write_private(place / FILENAME, page)
    return place / FILENAME


def build_page(results: Results) -> str:
    """The page as HTML."""
    from director.report import canvas  # matplotlib is slow

    environment = Environment(
        loader=PackageLoader("director.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=values.number, brief=values.brief, clean=values.clean)
    campaign = results.campaign
    figures = [_figure(canvas.inline, f"c{index}", one) for index, one in enumerate(drawn(results))]
    evaluations = [(episode, one) for episode in campaign.episodes for one in episode.evaluations]
    episodes = [episode for episode in campaign.episodes if episode.evaluations or episode.ended is not None]
    return environment.get_template("campaign.html.j2").render(
        campaign=campaign,
        counts=Counter(one.status for _, one in evaluations),
        evaluations=len(evaluations),
        reused=sum(one.reused_from is not None for _, one in evaluations),
        node_hours=sum(one.node_hours or 0.0 for _, one in evaluations),
        unfinished=results.unfinished,
        baseline=results.summary.baseline,
        tables=_tables(results),
        figures=figures,
        best=_best(evaluations),
        faults=_faults(evaluations),
        episodes=[_episode(episode) for episode in episodes[:MOST_EPISODES]],
        more_episodes=max(0, len(episodes) - MOST_EPISODES),
        known=results.summary.known,
        definitions=METRICS,
        reasons=_reasons(results.summary.policies),
    )


def _figure(inline: Callable[[Any, str, str, str], str], key: str, one: Any) -> tuple[bool, str, str, Markup]:
    """Whether a figure is wide, its title, what is to be said of it, and its SVG, in which texts are escaped."""
    svg = Markup(inline(one.figure, key, one.title, one.text))  # noqa: S704
    return one.figure.get_figwidth() > NARROW_IN, one.title, one.text, svg


def _tables(results: Results) -> list[dict[str, Any]]:
    """For each system the columns that have a number, and a row for each policy."""
    found = []
    for system in dict.fromkeys(one.system for one in results.summary.policies):
        policies = [one for one in results.summary.policies if one.system == system]
        # Where nothing was ever a success, there may be none: a best is looked for, and no threshold was given.
        hidden = () if any(one.discoveries.mean[-1] > 0 for one in policies) else OF_SUCCESSES
        columns = [
            (name, title)
            for name, title in COLUMNS
            if name not in hidden and any(one.over_episodes[name].n for one in policies)
        ]
        found.append(
            {
                "system": system,
                "titles": [*(title for _, title in columns), *(title for _, title in OF_MEANS)],
                "rows": [
                    {
                        "policy": one.policy,
                        "episodes": one.discoveries.episodes,
                        "cells": [
                            *(_spread(one.over_episodes[name]) for name, _ in columns),
                            *(_value(one.of_means[name]) for name, _ in OF_MEANS),
                        ],
                    }
                    for one in policies
                ],
            }
        )
    return found


def _spread(spread: Spread) -> str:
    if isinstance(spread.mean, Undefined):
        return values.MISSING
    sem = None if isinstance(spread.sem, Undefined) else spread.sem
    return values.mean_std(values.Quantity(spread.mean, sem))


def _value(value: Value) -> str:
    if not isinstance(value, Undefined):
        return values.number(value)
    return values.MISSING if value.at_most is None else f"< {values.brief(value.at_most)}"


def _reasons(policies: Sequence[PolicySummary]) -> list[str]:
    """Why numbers of mean curves are undefined."""
    titles = dict(OF_MEANS)
    on = " on {}" if len({one.system for one in policies}) > 1 else ""
    lines = [
        f"{titles[name]} of {one.policy}{on.format(one.system)}: {value.reason}."
        for one in policies
        for name, value in one.of_means.items()
        if isinstance(value, Undefined)
    ]
    return lines[:20]


def _best(evaluations: Sequence[tuple[reading.Episode, reading.Evaluation]]) -> list[dict[str, Any]]:
    """The best candidates, each once."""
    scored = [(episode, one) for episode, one in evaluations if one.score is not None]
    scored.sort(key=lambda pair: -(pair[1].score or 0.0))
    found: dict[str, dict[str, Any]] = {}
    for episode, one in scored:
        label = label_of(one.candidate)
        key = f"{label} {one.score}"
        if key not in found and len(found) < MOST_BEST:
            found[key] = {
                "label": label,
                "score": one.score,
                "success": one.success,
                "system": episode.system,
                "policy": episode.policy,
                "episode": episode.number,
                "evaluation": 1 + episode.evaluations.index(one),
                "details": values.pairs(_plain(one.details)),
                "id": one.id,
            }
    return list(found.values())


def _plain(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if not isinstance(value, dict | list)}


def _faults(evaluations: Sequence[tuple[reading.Episode, reading.Evaluation]]) -> list[tuple[int, str, str, str]]:
    """Evaluations that are not ok: how many, status, reason, what to do."""
    groups = Counter(
        (
            one.status,
            str((one.error or {}).get("message", "no reason was recorded")),
            str((one.error or {}).get("hint", "")),
        )
        for _, one in evaluations
        if one.status != "ok"
    )
    return [(count, *group) for group, count in groups.most_common(MOST_FAULTS)]


def _episode(episode: reading.Episode) -> dict[str, Any]:
    costs: Counter[str] = Counter()
    for decision in episode.decisions:
        costs.update(decision.cost)
    refusals = [decision.reason for decision in episode.decisions if decision.reason and not decision.choices]
    best = episode.best
    return {
        "system": episode.system,
        "policy": episode.policy,
        "number": episode.number,
        "ended": episode.ended or "not yet",
        "reason": episode.reason,
        "evaluations": len(episode.evaluations),
        "failed": sum(one.status != "ok" for one in episode.evaluations),
        "successes": sum(one.success for one in episode.evaluations),
        "best": None if best is None else best.score,
        "best_label": "" if best is None else label_of(best.candidate),
        "costs": values.pairs(dict(costs)),
        "nothing": len(refusals),
        "why_nothing": refusals[-1] if refusals else "",
    }
