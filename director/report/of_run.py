"""The report of a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from director.history import read_history
from director.report.render import write_report
from director.report.summary import DirectorSummary, RunSummaryInput
from director.runfolder import RunFolder, RunRecord
from simulations.records import Outcome


def report_run(run_dir: str | os.PathLike[str], *, title: str | None = None) -> Path:
    """Writes ``report.html`` into a run folder: one file that a browser opens.

    Args:
        run_dir: The run folder; its run may be open.
        title: Headline; None: the folder's name.

    Returns:
        Path of the page.

    Raises:
        Refused: If there is no run in the folder.
        OSError: If the page cannot be written.
    """
    folder = RunFolder(Path(run_dir).resolve())
    history = read_history(folder)
    return report_outcomes(folder.path, history.record, history.outcomes, title=title)


def report_outcomes(folder: Path, record: RunRecord, outcomes: Sequence[Outcome], *, title: str | None = None) -> Path:
    """Writes ``report.html`` of a run whose folder is not here, from its record and what was fetched of it.

    Args:
        folder: Where the page goes.
        record: The run's record.
        outcomes: Its Outcomes.
        title: Headline; None: the folder's name.

    Raises:
        OSError: If the page cannot be written.
    """
    summary = RunSummaryInput(
        run_id=record.run_id,
        title=title or folder.name,
        created_at=record.created_at,
        finished_at=record.closed_at,
        directors=tuple(
            DirectorSummary(index, tuple(hosts), record.workers[index]) for index, hosts in enumerate(record.partitions)
        ),
    )
    return write_report(folder, summary, list(outcomes))
