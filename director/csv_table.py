"""Outcomes as a table in CSV: one row each."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from director.flat import Flat, flat_outcome, free_name
from simulations.disk import replace_file
from simulations.records import Outcome


def table_rows(outcomes: Iterable[Outcome]) -> list[Flat]:
    """A row for each Outcome: what it is of, how it ended, its inputs and its result.

    A result's field that is named as one of the first columns, such as ``status``, gets ``result_`` before its name.
    """
    rows = []
    for outcome in outcomes:
        row = _head(outcome)
        for name, value in flat_outcome(outcome).items():
            row[free_name(f"result_{name}" if name in row else name, row)] = value
        rows.append(row)
    return rows


def csv_text(rows: list[Flat]) -> tuple[str, list[str]]:
    """Writes rows as CSV (RFC 4180).

    Args:
        rows: Rows may lack columns; their cells are empty.

    Returns:
        The text and the names of the columns, in the order in which they first came.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: str(value).lower() if isinstance(value, bool) else value for name, value in row.items()})
    return stream.getvalue(), columns


def write_csv(path: Path, outcomes: Iterable[Outcome]) -> tuple[int, int]:
    """Writes the table of these Outcomes in place of what is there; whole or not at all.

    Returns:
        How many rows and columns it has.

    Raises:
        OSError: If it cannot be written.
    """
    rows = table_rows(outcomes)
    text, columns = csv_text(rows)
    replace_file(path, [text.encode()], path.with_name(f".{path.name}.{os.getpid()}.partial"))
    return len(rows), len(columns)


def _head(outcome: Outcome) -> Flat:
    return {
        "id": outcome.id,
        "key": outcome.key,
        "tool": outcome.tool,
        "tool_version": outcome.tool_version,
        "status": outcome.status.value,
        "error_type": outcome.error.type if outcome.error else "",
        "error_message": outcome.error.message if outcome.error else "",
        "reused_from": outcome.reused_from or "",
        "worker": outcome.worker or "",
        "finished_at": outcome.finished_at.isoformat(),
    }
