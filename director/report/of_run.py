"""The report of a run folder."""

from __future__ import annotations

import os
from pathlib import Path

from director.history import read_history
from director.report.render import write_report
from director.report.summary import DirectorSummary, RunSummaryInput
from director.runfolder import RunFolder


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
    record = history.record
    summary = RunSummaryInput(
        run_id=record.run_id,
        title=title or folder.path.name,
        created_at=record.created_at,
        finished_at=record.closed_at,
        directors=tuple(
            DirectorSummary(index, tuple(hosts), record.workers[index]) for index, hosts in enumerate(record.partitions)
        ),
    )
    return write_report(folder.path, summary, history.outcomes)
