"""Energies and RMSD over time, read from the ``state_table`` artifacts that Outcomes left in the run folder."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from director.report.values import clean, short_id
from simulations.records import Outcome

ARTIFACT = "state_table"
COLUMNS = ("potential_energy_kj_mol", "temperature_k", "rmsd_nm", "radius_of_gyration_nm")
MAX_TRACES = 40
MAX_POINTS = 1_000
MAX_BYTES = 256 * 1024 * 1024
MAX_NOTES = 8


class StateTableError(ValueError):
    """A state table cannot be drawn; the text says why, for the page."""


@dataclass(frozen=True)
class Trace:
    """One simulation over time.

    Attributes:
        outcome: Whose it is.
        time_ps: Simulated time in ps; shape (n,).
        columns: For each name in ``COLUMNS``, values in the unit of the name, NaN where the cell was empty.
        skipped_lines: How many lines could not be read.
        stride: Each ``stride``-th line was kept.
    """

    outcome: Outcome
    time_ps: list[float]
    columns: dict[str, list[float]]
    skipped_lines: int
    stride: int


@dataclass(frozen=True)
class TraceSet:
    """The simulations that are drawn, and what a reader must know about the rest.

    Attributes:
        traces: At most ``MAX_TRACES``.
        available: How many Outcomes left a state table.
        notes: What was left out or could not be read.
    """

    traces: tuple[Trace, ...]
    available: int
    notes: tuple[str, ...]


def is_inside(path: str) -> bool:
    """Whether an artifact's path, as written, stays in the run folder. Symbolic links are not followed."""
    pure = PurePosixPath(path)
    unsafe = not path or pure.is_absolute() or ".." in pure.parts or "\\" in path
    return not unsafe and path.isprintable()


def artifact_file(run_folder: Path, path: str) -> Path:
    """The file of an artifact, if it may be read.

    Raises:
        StateTableError: If it lies outside the run folder, also by a symbolic link, or is not a plain file.
    """
    folder = run_folder.resolve()
    file = (folder / path).resolve() if is_inside(path) else Path()
    if not file.is_relative_to(folder):
        raise StateTableError(f"its path {clean(path, 80)!r} leads out of the run folder and was not opened")
    if not file.is_file():
        raise StateTableError(f"{clean(path, 80)} is not there")
    if file.stat().st_size > MAX_BYTES:
        raise StateTableError(f"{clean(path, 80)} is larger than {MAX_BYTES // 1024**2} MiB")
    return file


def sample_evenly(count: int, limit: int) -> list[int]:
    """Indices of at most ``limit`` of ``count`` things, evenly spaced, the first and the last among them."""
    if count <= limit:
        return list(range(count))
    if limit == 1:
        return [0]
    return [i * (count - 1) // (limit - 1) for i in range(limit)]


def read_traces(run_folder: Path, outcomes: Sequence[Outcome], limit: int = MAX_TRACES) -> TraceSet:
    """Reads the state tables of at most ``limit`` Outcomes. Never raises for what is in the files."""
    first_with: dict[str, Outcome] = {}
    for outcome in outcomes:
        path = outcome.artifacts.get(ARTIFACT)
        if path is not None:
            first_with.setdefault(path, outcome)  # a reused result names the same file again
    found = list(first_with.items())
    traces: list[Trace] = []
    notes: list[str] = []
    for index in sample_evenly(len(found), limit):
        path, outcome = found[index]
        try:
            trace = read_state_table(artifact_file(run_folder, path), outcome)
        except (OSError, ValueError, csv.Error) as error:
            notes.append(f"{short_id(outcome.id)} is not drawn: {clean(error)}")
            continue
        if trace.skipped_lines:
            notes.append(f"{short_id(outcome.id)}: {trace.skipped_lines:,} damaged line(s) left out")
        traces.append(trace)
    return TraceSet(tuple(traces), len(found), tuple(_bounded(notes)))


def _bounded(notes: list[str]) -> list[str]:
    rest = len(notes) - MAX_NOTES
    return notes if rest <= 0 else [*notes[:MAX_NOTES], f"and {rest:,} more such notes"]


def read_state_table(file: Path, outcome: Outcome) -> Trace:
    """Reads one state table, thinned to at most ``MAX_POINTS`` lines.

    Raises:
        StateTableError: If it has no header that names ``time_ps``, or no line that can be read.
        OSError: If it cannot be read.
        csv.Error: If it is not CSV.
    """
    kept: list[list[float]] = []
    skipped, stride, seen = 0, 1, 0
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        lines = csv.reader(stream)
        header = [name.strip() for name in next(lines, [])]
        if "time_ps" not in header:
            raise StateTableError(f"{file.name} has no header line with time_ps")
        places = [header.index(name) if name in header else None for name in ("time_ps", *COLUMNS)]
        for cells in lines:
            values = _numbers(cells, places, len(header))
            if values is None:
                skipped += bool(cells)
                continue
            if seen % stride == 0:
                kept.append(values)
            seen += 1
            if len(kept) > MAX_POINTS:
                kept, stride = kept[::2], stride * 2
    if not kept:
        raise StateTableError(f"{file.name} holds no line that can be read")
    time_ps, *columns = (list(column) for column in zip(*kept, strict=True))
    return Trace(outcome, time_ps, dict(zip(COLUMNS, columns, strict=True)), skipped, stride)


def _numbers(cells: list[str], places: list[int | None], width: int) -> list[float] | None:
    """Time and columns of one line; None if the line is torn, not numbers, or has no time."""
    if len(cells) != width:
        return None
    try:
        values = [float(cells[i]) if i is not None and cells[i].strip() else math.nan for i in places]
    except ValueError:
        return None
    values = [value if math.isfinite(value) else math.nan for value in values]
    return None if math.isnan(values[0]) else values
