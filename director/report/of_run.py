"""The report of a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from director.history import Passage, read_history, read_passages
from director.report.render import write_report
from director.report.summary import DirectorSummary, RunSummaryInput
from director.runfolder import RunFolder, RunRecord
from director.toolbox import tools_with
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
        LedgerError: If a ledger cannot be read.
        OSError: If the page cannot be written.
    """
    folder = RunFolder(Path(run_dir).resolve())
    history = read_history(folder)
    passages = read_passages(history, tools_with(history.record.tools))
    return report_outcomes(folder.path, history.record, history.outcomes, title=title, passages=passages)


def report_outcomes(
    folder: Path,
    record: RunRecord,
    outcomes: Sequence[Outcome],
    *,
    title: str | None = None,
    passages: Sequence[Passage] = (),
) -> Path:
    """Writes ``report.html`` of a run whose folder is not here, from its record and what was fetched of it.

    Args:
        folder: Where the page goes.
        record: The run's record.
        outcomes: Its Outcomes.
        title: Headline; None: the folder's name.
        passages: What happened to each Director; empty: that is not known, and the page says nothing of it.

    Raises:
        OSError: If the page cannot be written.
    """
    summary = RunSummaryInput(
        run_id=record.run_id,
        title=title or folder.name,
        created_at=record.created_at,
        finished_at=record.closed_at,
        directors=tuple(
            _summary(index, tuple(hosts), record.workers[index], passages[index] if passages else None)
            for index, hosts in enumerate(record.partitions)
        ),
    )
    return write_report(folder, summary, list(outcomes))


def _summary(index: int, hosts: tuple[str, ...], workers: int, passage: Passage | None) -> DirectorSummary:
    if passage is None:
        return DirectorSummary(index, hosts, workers)
    return DirectorSummary(
        index,
        hosts,
        workers,
        totals=passage.totals,
        held=passage.held,
        paused=passage.paused,
        still_open=passage.still_open,
    )
