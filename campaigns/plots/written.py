"""All figures of a campaign as files: PNG to look at, SVG to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from campaigns.metrics.summary import Summary
from campaigns.plots import curves, factors, hull, latency, style
from campaigns.plots.phases import Phase

MOST_SYSTEMS = 12
"""Of more systems the first are drawn."""


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        key: Its file's name without a suffix.
        title: What it shows.
        text: What is to be said about it.
        figure: The figure.
    """

    key: str
    title: str
    text: str
    figure: Figure


@dataclass(frozen=True)
class Phases:
    """What a plot of phases needs of a system.

    Attributes:
        elements: In the order of the axes.
        phases: What was evaluated.
    """

    elements: tuple[str, ...]
    phases: Sequence[Phase]


def draw(
    summary: Summary,
    score: str,
    latencies_s: Mapping[str, Sequence[float]],
    phases: Mapping[str, Phases] | None = None,
) -> list[Drawn]:
    """Draws what there is to draw.

    Args:
        summary: The numbers of the campaign.
        score: Label of the score, with its unit.
        latencies_s: Times of decisions by policy, in s.
        phases: By system, if candidates are crystals; systems of other than two or three elements have no plot.
    """
    systems = list(dict.fromkeys(one.system for one in summary.policies))[:MOST_SYSTEMS]
    found = [
        Drawn(
            "best-found",
            "Best found",
            "The best score so far after each evaluation. Bands are standard errors over episodes.",
            curves.best_found_curves(summary, score),
        )
    ]
    if any(one.discoveries.mean[-1] > 0 for one in summary.policies):
        found.insert(
            0,
            Drawn(
                "discoveries",
                "Discoveries",
                "Different successes after each evaluation. Bands are standard errors over episodes.",
                curves.discovery_curves(summary),
            ),
        )
    for system in systems:
        suffix = "" if len(systems) == 1 else f"-{system}"
        of = "" if len(systems) == 1 else f" on {system}"
        found.append(
            Drawn(
                f"factors{suffix}",
                f"Beside the baseline {summary.baseline}{of}",
                "Numbers of the mean curves; error bars, of EF and AUDC, are standard errors over episodes. The dashed "
                "line is the baseline. What is undefined has no bar: the table says why.",
                factors.factor_bars(summary, system),
            )
        )
        here = (phases or {}).get(system)
        if here is not None and len(here.elements) in (2, 3) and here.phases:
            names = list(dict.fromkeys(one.policy for one in summary.policies))
            found.append(
                Drawn(
                    f"phases{suffix}",
                    f"Phases{of}",
                    "Everything that was evaluated, by all policies in all episodes.",
                    hull.hull_plot(here.phases, here.elements, names),
                )
            )
    if any(latencies_s.values()):
        found.append(
            Drawn(
                "decisions",
                "Time of decisions",
                "From an Outcome to the next Request that rests on it.",
                latency.decision_latency(latencies_s),
            )
        )
    return found


def write_plots(folder: Path, drawn: Sequence[Drawn]) -> list[Path]:
    """Writes figures into a folder, which is made if it is not there.

    Returns:
        Paths of the PNG files; beside each lies its SVG.

    Raises:
        OSError: If one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for one in drawn:
        path = folder / f"{one.key}.png"
        one.figure.savefig(path, dpi=style.DPI, metadata={"Software": None})
        one.figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
        paths.append(path)
    return paths
