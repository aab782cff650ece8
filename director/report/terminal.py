"""The table of results that ends a run on a terminal.

Text of users and programs is cleaned of control characters, and never read as rich's markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from director.report.summary import natural_key
from director.report.values import MISSING, clean, mean_std, number, pairs, quantity, reason, short_id
from simulations.records import Outcome, Status

MAX_RESULTS = 40
STATUS_STYLE = {
    Status.OK: "green",
    Status.FAILED: "bold red",
    Status.TIMEOUT: "yellow",
    Status.CANCELLED: "dim",
}


def outcome_table(outcomes: Sequence[Outcome], limit: int = MAX_RESULTS) -> Table:
    """Results by node; an Outcome that is not ok says why instead.

    If any took more than one attempt, or repeats an earlier result, a column says how many, or which.

    Temperature in K, potential energy in kJ/mol (mean ± standard deviation), RMSD in nm, throughput in ns/day.

    Args:
        outcomes: What to show, sorted by node.
        limit: How many rows at most.
    """
    ordered = sorted(outcomes, key=lambda o: (o.host is None, natural_key(o.host or "")))
    shown = ordered[:limit]
    titles = ("T (K)", "Epot (kJ/mol)", "RMSD (nm)", "ns/day")
    measured = [_measured(outcome) for outcome in shown]
    widths = [max(len(row[i]) for row in [titles, *filter(None, measured)]) for i in range(len(titles))]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("id", "node", "status"):
        table.add_column(name, no_wrap=True, max_width=16)
    has_past = any(outcome.attempts > 1 or outcome.reused_from for outcome in shown)
    if has_past:
        table.add_column("attempts", no_wrap=True, max_width=14)
    # Columns cannot be joined in rich, and a reason needs the room of all four.
    has_numbers = any(measured)
    table.add_column(_aligned(titles, widths) if has_numbers else "result", overflow="fold")
    for outcome, row in zip(shown, measured, strict=True):
        table.add_row(
            Text(short_id(outcome.id)),
            Text(clean(outcome.host or MISSING, 60)),
            Text(outcome.status.value, style=STATUS_STYLE[outcome.status]),
            *([Text(_past(outcome))] if has_past else []),
            Text(_aligned(row, widths)) if row else Text(_in_words(outcome)),
        )
    if len(ordered) > limit:
        table.caption = Text(f"… and {len(ordered) - limit:,} more", style="dim")
        table.caption_justify = "left"
    return table


def _past(outcome: Outcome) -> str:
    return f"as {short_id(outcome.reused_from)}" if outcome.reused_from else f"{outcome.attempts:,}"


def _measured(outcome: Outcome) -> tuple[str, ...] | None:
    """Temperature, potential energy, RMSD and throughput; None where the Tool gives no such thing."""
    energy = quantity(outcome.result, "potential_energy_kj_mol")
    if outcome.status is not Status.OK or energy is None:
        return None
    temperature = quantity(outcome.result, "temperature_k")
    throughput = quantity(outcome.result, "ns_per_day")
    return (
        number(temperature.mean, 1) if temperature else MISSING,
        mean_std(energy),
        mean_std(quantity(outcome.result, "rmsd_nm"), 3),
        speed(throughput.mean) if throughput else MISSING,
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _in_words(outcome: Outcome) -> str:
    if outcome.status is not Status.OK:
        return reason(outcome)
    return "  ".join(f"{name} {value}" for name, value in pairs(outcome.result or {})[:4]) or MISSING


def speed(ns_per_day: float | None) -> str:
    """A throughput in ns/day, in at most six characters below 100,000 million."""
    if ns_per_day is None:
        return MISSING
    if ns_per_day >= 9_999_999.5:
        return f"{ns_per_day / 1e6:,.0f}M"
    if ns_per_day >= 99_999.5:
        return f"{ns_per_day / 1000:,.0f}k"
    return number(ns_per_day, 0 if ns_per_day >= 1000 else 1 if ns_per_day >= 10 else 2)
