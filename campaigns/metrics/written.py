"""Numbers of a campaign as files: ``summary.json`` and ``episodes.csv``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from campaigns.metrics.numbers import Undefined
from campaigns.metrics.summary import METRICS, Summary
from simulations.disk import replace_file

SUMMARY = "summary.json"
EPISODES = "episodes.csv"
CURVES = "curves.csv"


def write_summary(folder: Path, summary: Summary, about: Mapping[str, Any]) -> list[Path]:
    """Writes ``summary.json``, ``episodes.csv`` and ``curves.csv`` into a folder.

    Args:
        folder: Where to; it is there.
        summary: What to write.
        about: What stands at the head of ``summary.json``: name and goal of the campaign, say.

    Returns:
        The files. A number that is undefined is an empty field of the tables, and null with a reason in the JSON.

    Raises:
        OSError: If one cannot be written.
    """
    contents = {
        SUMMARY: json.dumps({**about, **summary.to_json()}, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        EPISODES: episodes_csv(summary),
        CURVES: curves_csv(summary),
    }
    for name, text in contents.items():
        replace_file(folder / name, [text.encode()], folder / f".{name}.partial")
    return [folder / name for name in contents]


def episodes_csv(summary: Summary) -> str:
    """One row for each episode."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["system", "policy", "episode", "budget", "ended", *METRICS])
    for row in summary.rows:
        numbers = [row.numbers[name] for name in METRICS]
        table.writerow(
            [
                row.episode.system,
                row.episode.policy,
                row.episode.index,
                row.episode.budget,
                row.episode.ended,
                *("" if isinstance(value, Undefined) else f"{value:.10g}" for value in numbers),
            ]
        )
    return stream.getvalue()


def curves_csv(summary: Summary) -> str:
    """One row for each evaluation of each policy: means and standard errors over episodes."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(
        ["system", "policy", "evaluation", "discoveries_mean", "discoveries_sem", "best_mean", "best_sem", "episodes"]
    )
    for one in summary.policies:
        columns = (one.discoveries.mean, one.discoveries.sem, one.best.mean, one.best.sem)
        for index, values in enumerate(zip(*columns, strict=True), 1):
            fields = ["" if value != value else f"{value:.10g}" for value in values]  # NaN is not equal to itself
            table.writerow([one.system, one.policy, index, *fields, one.discoveries.episodes])
    return stream.getvalue()
