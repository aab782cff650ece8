"""How long decisions took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from campaigns.plots import style


def decision_latency(latencies_s: Mapping[str, Sequence[float]]) -> Figure:
    """The share of decisions that took at most so long, of each policy.

    Args:
        latencies_s: For each policy the time from an Outcome to the next Request that rests on it, in s; those that
            have none are left out.
    """
    figure, (axes,) = style.panels(1)
    names = [name for name, times in latencies_s.items() if len(times)]
    for name in names:
        times = np.sort(np.asarray(latencies_s[name], dtype=np.float64)) * 1e3
        color, dash, _ = style.style_of(list(latencies_s), name)
        share = 100 * np.arange(1, len(times) + 1) / len(times)
        text = f"{name}: median {np.median(times):.3g} ms"
        axes.step([max(times[0], 1e-3), *times], [0, *share], where="post", color=color, linestyle=dash, label=text)
    axes.set_xscale("log")
    axes.set_ylim(0, 102)
    style.label(axes, "From an Outcome to the next Request (ms)", "Decisions (%)")
    if names:
        style.legend(axes, names, "lower right")
    return figure
