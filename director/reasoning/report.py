"""The report of reasoners, in Markdown, HTML and JSON.

Values are read from the Directors' ledgers, or from what was kept of them, by the Outcomes' ids.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from campaigns.reasoner.crew import Ended
from campaigns.reasoner.subject import ToolSubject
from campaigns.reasoner.summary import best_rows, effort, markdown, summary
from director.left import entries_after
from director.reasoning.elsewhere import kept_outcomes
from simulations.disk import write_private
from simulations.records import Outcome

REPORTS = ("reasoning-summary.json", "reasoning.md", "reasoning.html")


def write_report(folder: Path, ended: Sequence[Ended], subject: ToolSubject) -> dict[str, Any]:
    """Writes the report into the run folder. Blocks.

    Args:
        folder: The run folder.
        ended: What the reasoners have got to.
        subject: What they look for.

    Returns:
        What ``reasoning-summary.json`` holds.

    Raises:
        ValueError: If an Outcome is missing, or says something else than what the models were told.
        OSError: If it cannot be written.
    """
    entries = [entry for one in ended for entry in one.state["entries"]]
    rows = best_rows(entries, subject.objective, results_of(folder))
    document = summary(ended, rows, subject.goal, subject.objective)
    pages = (json.dumps(document, indent=1, ensure_ascii=False) + "\n", markdown(document), page(document))
    for name, text in zip(REPORTS, pages, strict=True):
        write_private(folder / name, text)
    return document


def results_of(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """The results that the ledgers of a run hold, by the ids of their Outcomes; or what was kept of another run's."""
    bodies = (
        entry.body for ledger in sorted(folder.glob("director-*/ledger.sqlite")) for entry in entries_after(ledger, 0)
    )
    outcomes = itertools.chain(map(Outcome.model_validate_json, bodies), kept_outcomes(folder))
    return {outcome.id: outcome.result for outcome in outcomes if outcome.result is not None}


def page(document: Mapping[str, Any]) -> str:
    """The report as one page of HTML that needs nothing else."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("director.reasoning", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text: str = environment.get_template("page.html.j2").render(
        what=document, names=("rank", "id", "reasoner", "round", document["objective"]), effort=effort
    )
    return text
