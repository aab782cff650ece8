"""Puts the report together and writes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from director.report import rows, spans, summary, traces, values
from director.report.summary import RunSummaryInput
from director.totals import add_up
from simulations.disk import write_private
from simulations.records import Outcome, Status

FILENAME = "report.html"
MAX_FAILURE_GROUPS = 8
MAX_DIRECTOR_ROWS = 64
GRADIENT = ("#3b0f70", "#8c2981", "#de4968", "#f0851a")
"""Colours of many lines, dark to bright: evenly lighter, and none too faint on white."""

PANELS = (
    ("potential_energy_kj_mol", "Potential energy", "Potential energy (kJ/mol)"),
    ("temperature_k", "Temperature", "Temperature (K)"),
    ("rmsd_nm", "RMSD from the start", "RMSD (nm)"),
    ("radius_of_gyration_nm", "Radius of gyration", "Radius of gyration (nm)"),
)


@dataclass(frozen=True)
class Key:
    """How the lines of the panels are told apart: one label each, or a scale from one value to another."""

    entries: tuple[tuple[str, str, bool], ...] = ()
    scale: tuple[str, str, str] | None = None


def write_report(run_folder: Path, run: RunSummaryInput, outcomes: Sequence[Outcome]) -> Path:
    """Writes ``RUN/report.html``, one file that needs no other, so that a reader sees the old page or the new one.

    What is missing or damaged in the run folder is stated on the page.

    Args:
        run_folder: The run folder; artifacts are read from it, and nowhere else.
        run: What to state of the run.
        outcomes: All Outcomes of the run.

    Returns:
        Path of the page.

    Raises:
        OSError: If the page cannot be written.
    """
    page = build_page(run_folder, run, outcomes)
    target = run_folder / FILENAME
    write_private(target, page)
    return target


def build_page(run_folder: Path, run: RunSummaryInput, outcomes: Sequence[Outcome]) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("director.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=values.number,
        brief=values.brief,
        duration=values.duration,
        clean=values.clean,
        hosts=values.compress_hosts,
    )
    varying = rows.varying_inputs(outcomes)
    shown = rows.choose_rows(outcomes)
    failures = summary.group_failures(outcomes)
    return environment.get_template("page.html.j2").render(
        run=run,
        created=_moment(run.created_at),
        finished=_moment(run.finished_at) if run.finished_at else None,
        nodes=len({host for director in run.directors for host in director.hosts}),
        totals=summary.totals(run, outcomes),
        count=len(outcomes),
        failures=failures[:MAX_FAILURE_GROUPS],
        more_failures=len(failures) - MAX_FAILURE_GROUPS,
        common=rows.common_inputs(outcomes, varying),
        rows=[rows.make_row(outcome, varying) for outcome in shown],
        versions=_versions(outcomes),
        **_activity(run, outcomes),
        **_shares(run),
        **_panels(run_folder, outcomes, varying),
    )


def _activity(run: RunSummaryInput, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Timeline and utilization, of the run and of each Director."""
    from director.report import canvas, figures, timeline  # matplotlib is slow; the live view only wants the text

    held = [interval for director in run.directors for interval in summary.since_begin(run, director.held)]
    axis = spans.TimeAxis(summary.run_length_s(run, outcomes), held)
    still_open = [(director.index, history) for director in run.directors for history in director.still_open]
    found = axis.shorten(spans.find_spans(run.created_at, outcomes, still_open))
    stated = {director.index: director for director in run.directors}
    singles, table = [], []
    for index in sorted(stated.keys() | {outcome.director for outcome in outcomes}):
        director = stated.get(index) or summary.DirectorSummary(index, (), 0)
        own = [outcome for outcome in outcomes if outcome.director == index]
        curve = summary.utilization([s for s in found if s.director == index], director.workers, axis.end_s)
        singles.append((index, curve))
        table.append((director, curve, len(own), sum(o.status is not Status.OK for o in own)))
    overall = summary.utilization(found, sum(curve.workers for _, curve in singles), axis.end_s)
    left_in = canvas.left_margin_in({span.worker for span in found})
    seen = len({(span.director, span.worker) for span in found})
    paused = {
        director.index: [
            (axis.place(start), axis.place(end)) for start, end in summary.since_begin(run, director.paused)
        ]
        for director in run.directors
    }
    behind = timeline.Backdrop(paused, axis.seams, axis.label)
    return {
        "overall": overall,
        "directors": table[:MAX_DIRECTOR_ROWS],
        "more_directors": len(table) - MAX_DIRECTOR_ROWS,
        "timeline": _svg(timeline.timeline(found, axis.end_s, left_in, behind)) if found else None,
        "interrupted": any(span.mark in (spans.Mark.INTERRUPTED, spans.Mark.LOST) for span in found),
        "gaps": len(axis.gaps),
        "busy": _svg(figures.busy_workers(overall, singles, left_in, axis.label)) if found and overall.busy else None,
        "rasterized": len(found) if len(found) > timeline.MAX_VECTOR_BARS else 0,
        "binned": figures.MAX_STEPS if len(overall.busy) > figures.MAX_STEPS else 0,
        "unseen_workers": overall.workers - seen,
    }


def _shares(run: RunSummaryInput) -> dict[str, Any]:
    """Where the time went, of each Partition and of the run."""
    from director.report import figures

    rows = [(f"Director {one.index}", one.totals) for one in run.directors if one.totals is not None]
    whole = add_up(totals for _, totals in rows)
    if whole is None or not whole.node_hours:
        return {"whole": None, "shares": None, "share_rows": [], "more_shares": 0, "endings": []}
    shown = [*rows[: figures.MAX_SHARES], ("All", whole)] if len(rows) > 1 else rows
    return {
        "whole": whole,
        "shares": _svg(figures.shares(shown)),
        "share_rows": shown,
        "more_shares": max(0, len(rows) - figures.MAX_SHARES),
        "endings": sorted((name.replace("_", " "), count) for name, count in whole.endings.items()),
    }


def _panels(run_folder: Path, outcomes: Sequence[Outcome], varying: dict[str, list[str]]) -> dict[str, Any]:
    """Energies and RMSD over time, with the key to the lines."""
    from director.report import figures

    found = traces.read_traces(run_folder, outcomes)
    styles, key = _style_lines(found.traces, varying, figures.LINE_STYLES)
    drawn: list[tuple[str, Markup | None]] = []
    for column, title, label in PANELS:
        lines = [
            figures.Line(trace.time_ps, trace.columns[column], *style)
            for trace, style in zip(found.traces, styles, strict=True)
            if any(math.isfinite(value) for value in trace.columns[column])
        ]
        drawn.append((title, _svg(figures.panel(column, title, label, lines)) if lines else None))
    return {
        "traces": found,
        "panels": drawn if found.traces else [],
        "key": key,
        "thinned": any(trace.stride > 1 for trace in found.traces),
        "max_points": traces.MAX_POINTS,
        "max_traces": traces.MAX_TRACES,
    }


def _svg(text: str) -> Markup:
    """A figure, which goes into the page as it is: matplotlib and ``figures`` escape the text in it."""
    return Markup(text)  # noqa: S704


def _style_lines(
    drawn: Sequence[traces.Trace], varying: dict[str, list[str]], palette: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], Key]:
    """A colour and a dash for each line: a few are named; many are coloured by the input that varies."""
    if len(drawn) <= len(palette):
        styles = list(palette[: len(drawn)])
        entries = tuple(
            (_trace_label(trace.outcome, varying), color, dash != "-")
            for trace, (color, dash) in zip(drawn, styles, strict=True)
        )
        return styles, Key(entries=entries)
    name, numbers = _scale_values([trace.outcome for trace in drawn], varying)
    low, high = min(numbers), max(numbers)
    styles = [(_blend((value - low) / (high - low)), "-") for value in numbers]
    ends = ("first", "last") if name is None else (values.brief(low), values.brief(high))
    return styles, Key(scale=(name or "order of the Outcomes", *ends))


def _scale_values(outcomes: Sequence[Outcome], varying: dict[str, list[str]]) -> tuple[str | None, list[float]]:
    """The first numeric input that varies, but for a seed, which orders nothing; else the order."""
    for name in varying.get(outcomes[0].tool, []):
        found = [values.quantity(outcome.inputs, name) for outcome in outcomes]
        numbers = [value.mean for value in found if value is not None]
        if "seed" not in name and len(numbers) == len(outcomes) and min(numbers) < max(numbers):
            return name, numbers
    return None, [float(i) for i in range(len(outcomes))]


def _trace_label(outcome: Outcome, varying: dict[str, list[str]]) -> str:
    inputs = values.pairs(outcome.inputs, varying.get(outcome.tool))[:3]
    return " · ".join([values.short_id(outcome.id), *(f"{name} {value}" for name, value in inputs)])


def _blend(fraction: float) -> str:
    """Colour at a fraction, from 0 to 1, of the gradient."""
    place = fraction * (len(GRADIENT) - 1)
    index = min(int(place), len(GRADIENT) - 2)
    ends = [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in GRADIENT[index : index + 2]]
    mixed = (round(a + (b - a) * (place - index)) for a, b in zip(*ends, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _moment(moment: Any) -> tuple[str, str]:
    """A moment for machines and for people, in UTC."""
    utc = summary.as_utc(moment)
    return utc.isoformat(timespec="seconds"), f"{utc.day} {utc:%B %Y, %H:%M:%S} UTC"


def _versions(outcomes: Sequence[Outcome]) -> list[str]:
    """Versions that made the results; a package with two of them is named twice, for that must be seen."""
    found = {(name, version) for outcome in outcomes for name, version in outcome.versions.items()}
    return [values.clean(f"{name} {version}", 60) for name, version in sorted(found)][:40]
