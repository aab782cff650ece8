"""Curves over evaluations: discoveries, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from campaigns.metrics.curves import Band
from campaigns.metrics.summary import PolicySummary, Summary
from campaigns.plots import style

LAST = 0.5
"""Width of the last step, in evaluations."""


def discovery_curves(summary: Summary) -> Figure:
    """How many different successes there were after each evaluation: a panel for each system."""
    figure, panels = style.panels(len(_systems(summary)))
    for axes, system in zip(panels, _systems(summary), strict=True):
        _draw(axes, summary, system, [(one, one.discoveries) for one in _of(summary, system)], from_zero=True)
        style.label(axes, "Evaluations", "Discoveries", _title(summary, system))
        axes.set_ylim(bottom=0)
        style.whole_ticks(axes, "xy")
        style.legend(axes, _names(summary), "upper left")
    return figure


def best_found_curves(summary: Summary, score: str) -> Figure:
    """The best score so far after each evaluation: a panel for each system.

    Args:
        summary: The numbers.
        score: Label of the score, with its unit.
    """
    figure, panels = style.panels(len(_systems(summary)))
    for axes, system in zip(panels, _systems(summary), strict=True):
        _draw(axes, summary, system, [(one, one.best) for one in _of(summary, system)], from_zero=False)
        style.label(axes, "Evaluations", score, _title(summary, system))
        style.whole_ticks(axes, "x")
        style.legend(axes, _names(summary), "lower right")
    return figure


def _draw(
    axes: Axes, summary: Summary, system: str, bands: Sequence[tuple[PolicySummary, Band]], *, from_zero: bool
) -> None:
    names = _names(summary)
    for policy, band in bands:
        color, dash, _ = style.style_of(names, policy.policy)
        first = 0 if from_zero else 1
        # The last value has a width too, or a rise at the end would be a line upwards that leads nowhere.
        x = np.array([*range(first, len(band.mean) + 1), len(band.mean) + LAST])
        mean, sem = (np.array([*([0.0] if from_zero else []), *one, one[-1]]) for one in (band.mean, band.sem))
        mean = np.where(np.isfinite(mean), mean, np.nan)
        axes.step(x, mean, where="post", color=color, linestyle=dash, linewidth=1.7, label=policy.policy)
        if np.isfinite(sem).any():
            spread = np.where(np.isfinite(sem), sem, 0.0)
            axes.fill_between(x, mean - spread, mean + spread, step="post", color=color, alpha=0.16, linewidth=0)
    most = max(len(band.mean) for _, band in bands)
    axes.set_xlim(0, most + LAST)


def _title(summary: Summary, system: str) -> str:
    episodes = max(one.discoveries.episodes for one in _of(summary, system))
    over = f"mean ± standard error of {episodes} episodes" if episodes > 1 else "one episode"
    return f"{system}: {over}" if system != "default" else over


def _systems(summary: Summary) -> list[str]:
    return list(dict.fromkeys(one.system for one in summary.policies))


def _names(summary: Summary) -> list[str]:
    return list(dict.fromkeys(one.policy for one in summary.policies))


def _of(summary: Summary, system: str) -> list[PolicySummary]:
    return [one for one in summary.policies if one.system == system]
