"""Rows of the table of Outcomes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from director.report.summary import seconds_between
from director.report.traces import is_inside
from director.report.values import MISSING, clean, mean_std, number, pairs, quantity, reason, short_id
from simulations.records import Outcome, Status

MAX_ROWS = 2_000
MAX_PAIRS = 6
LEAST_LOST_S = 0.05
MD_QUANTITY = "potential_energy_kj_mol"


@dataclass(frozen=True)
class Row:
    """One Outcome, as text. Either ``numbers``, ``results`` or ``message`` says what came of it.

    Attributes:
        numbers: ns/day, potential energy, temperature and RMSD, for a Tool that gives them.
        results: Names and values of the result of another Tool.
        message: Why it is not ok, with ``hint`` for what to do.
        links: Name and relative address of each artifact.
        refused: Names of artifacts whose path leads out of the run folder.
    """

    id: str
    full_id: str
    tool: str
    status: Status
    inputs: list[tuple[str, str]]
    more_inputs: int
    director: int
    worker: str
    accelerator: str
    seconds: str
    numbers: tuple[str, str, str, str] | None
    results: list[tuple[str, str]]
    message: str
    hint: str
    links: list[tuple[str, str]]
    refused: list[str]
    remark: str


def varying_inputs(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """For each Tool, the inputs that tell its Requests apart; all of them, if nothing does."""
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    counts: dict[str, int] = defaultdict(int)
    for outcome in outcomes:
        counts[outcome.tool] += 1
        for name, value in outcome.inputs.items():
            values[outcome.tool][name].add(json.dumps(value, sort_keys=True, default=str))
    given: dict[tuple[str, str], int] = defaultdict(int)
    for outcome in outcomes:
        for name in outcome.inputs:
            given[outcome.tool, name] += 1
    chosen = {}
    for tool, inputs in values.items():
        differ = [n for n, seen in inputs.items() if len(seen) > 1 or given[tool, n] < counts[tool]]
        chosen[tool] = differ or list(inputs)
    return chosen


def common_inputs(outcomes: Sequence[Outcome], varying: Mapping[str, list[str]]) -> dict[str, list[tuple[str, str]]]:
    """For each Tool, the inputs that all its Requests share, which the table need not repeat."""
    first = {outcome.tool: outcome for outcome in reversed(outcomes)}
    shared = {
        tool: pairs({name: value for name, value in outcome.inputs.items() if name not in varying[tool]})
        for tool, outcome in first.items()
        if outcome.inputs
    }
    return {tool: found[:20] for tool, found in shared.items() if found}


def choose_rows(outcomes: Sequence[Outcome], limit: int = MAX_ROWS) -> list[Outcome]:
    """At most ``limit`` Outcomes in their order; if some must go, those that are ok go first."""
    if len(outcomes) <= limit:
        return list(outcomes)
    order = sorted(range(len(outcomes)), key=lambda i: (outcomes[i].status is Status.OK, i))
    return [outcomes[i] for i in sorted(order[:limit])]


def make_row(outcome: Outcome, varying: Mapping[str, list[str]]) -> Row:
    """One Outcome, as text."""
    shown = pairs(outcome.inputs, varying.get(outcome.tool))
    result = outcome.result or {}
    is_md = quantity(result, MD_QUANTITY) is not None
    failed = outcome.status is not Status.OK
    seconds = MISSING
    if outcome.usage is not None:
        seconds = number(outcome.usage.startup_s + outcome.usage.run_s, 1)
    elif outcome.started_at is not None and outcome.reused_from is None:
        seconds = number(seconds_between(outcome.started_at, outcome.finished_at), 1)
    return Row(
        id=short_id(outcome.id),
        full_id=outcome.id,
        tool=clean(outcome.tool, 40),
        status=outcome.status,
        inputs=shown[:MAX_PAIRS],
        more_inputs=max(0, len(shown) - MAX_PAIRS),
        director=outcome.director,
        worker=clean(outcome.worker or outcome.host or "not started", 40),
        accelerator=clean(outcome.accelerator or "", 40),
        seconds=seconds,
        numbers=_md_numbers(result) if is_md and not failed else None,
        results=[] if is_md or failed else pairs(result)[:MAX_PAIRS],
        message=reason(outcome) if failed else "",
        hint=clean(outcome.error.hint, 300) if outcome.error else "",
        links=[(clean(n, 40), quote(p, safe="/")) for n, p in outcome.artifacts.items() if is_inside(p)],
        refused=[clean(n, 40) for n, p in outcome.artifacts.items() if not is_inside(p)],
        remark=_remark(outcome),
    )


def _md_numbers(result: Mapping[str, object]) -> tuple[str, str, str, str]:
    speed = quantity(result, "ns_per_day")
    return (
        number(speed.mean) if speed else MISSING,
        mean_std(quantity(result, MD_QUANTITY)),
        mean_std(quantity(result, "temperature_k")),
        mean_std(quantity(result, "rmsd_nm"), 3),
    )


def _remark(outcome: Outcome) -> str:
    if outcome.reused_from is not None:
        return f"same as {short_id(outcome.reused_from)}, not run again"
    if outcome.attempts <= 1:
        return ""
    lost_s = outcome.usage.lost_s if outcome.usage else 0.0
    lost = f", {number(lost_s, 1)} s lost" if lost_s >= LEAST_LOST_S else ""
    inexact = any(record.course.exact is False for record in outcome.history)
    return f"{outcome.attempts} attempts{lost}" + (", not continued exactly" if inexact else "")
