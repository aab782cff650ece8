"""The episodes of a campaign as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table


def episode_table(episodes: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each episode.

    Args:
        episodes: As `director.campaigning.showing.episode_summary` has them.
    """
    table = Table()
    for name in ("episode", "evaluated", "best", "candidate", "successes", "ended"):
        table.add_column(name, overflow="fold", no_wrap=name == "ended")
    for one in episodes:
        best = "" if one["best_score"] is None else f"{one['best_score']:.6g}"
        failed = f" ({one['failed']} failed)" if one["failed"] else ""
        ended = one["ended"] or ("not yet" if one["evaluated"] or one["in_flight"] else "not begun")
        row = (f"{one['system']}/{one['policy']}/{one['episode']}", f"{one['evaluated']}{failed}", best)
        table.add_row(*row, _short(one["best_candidate"]), str(one["successes"]), ended)
    return table


def _short(candidate: Mapping[str, Any] | None) -> str:
    if candidate is None:
        return ""
    for name in ("reduced_formula", "formula", "smiles"):
        if isinstance(candidate.get(name), str):
            return str(candidate[name])
    text = ", ".join(f"{name}={value}" for name, value in candidate.items() if isinstance(value, str | int | float))
    return text if len(text) <= 60 else text[:59] + "…"
