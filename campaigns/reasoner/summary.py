"""What came of reasoners: the best five, and what each has done. Every value is looked up in an Outcome, by its id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.reasoner.board import best_of
from campaigns.reasoner.crew import Ended
from campaigns.reasoner.state import Entry

BEST = 5
LONGEST_QUOTE = 1500


@dataclass(frozen=True)
class Row:
    """One of the best.

    Attributes:
        rank: From 1.
        id: Of its Outcome.
        candidate: What it is.
        value: What counts of its result, as the Outcome has it.
        reasoner: Who asked for it.
        round: In which round.
    """

    rank: int
    id: str
    candidate: Mapping[str, Any]
    value: float
    reasoner: str
    round: int


def best_rows(entries: Sequence[Entry], objective: str, results: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The best five. Pure.

    Args:
        entries: All that was evaluated.
        objective: The number of a result that counts.
        results: The results of the Outcomes, by their ids.

    Raises:
        ValueError: If an Outcome is missing, or says something else than what the models were told.
    """
    rows = []
    for rank, entry in enumerate(best_of(entries, BEST), 1):
        result = results.get(entry["id"])
        if result is None:
            raise ValueError(f"there is no Outcome {entry['id']}")
        if entry["result"] is None or entry["result"][objective] != result[objective]:
            raise ValueError(f"the Outcome {entry['id']} says {result[objective]}, and the models were told otherwise")
        rows.append(
            Row(rank, entry["id"], entry["candidate"], float(result[objective]), entry["reasoner"], entry["round"])
        )
    return rows


def summary(ended: Sequence[Ended], rows: Sequence[Row], goal: str, objective: str) -> dict[str, Any]:
    """All of it as JSON."""
    entries = [entry for one in ended for entry in one.state["entries"]]
    results = [entry["result"] for entry in entries if entry["result"] is not None]
    return {
        "goal": goal,
        "objective": objective,
        "simulations": len({entry["id"] for entry in entries}),
        "methods": sorted({str(result["method"]) for result in results if "method" in result}),
        "by_status": dict(sorted(Counter(entry["status"] for entry in entries).items())),
        "best": [
            {
                "rank": row.rank,
                "id": row.id,
                **row.candidate,
                objective: row.value,
                "reasoner": row.reasoner,
                "round": row.round,
            }
            for row in rows
        ],
        "reasoners": [_reasoner(one) for one in ended],
        "outcomes": [
            {name: entry[name] for name in ("id", "reasoner", "round", "status")}
            | dict(entry["candidate"])
            | {objective: (entry["result"] or {}).get(objective)}
            for entry in entries
        ],
    }


def markdown(document: Mapping[str, Any]) -> str:
    """The report of a `summary` in Markdown. What models wrote is quoted, and marked as theirs."""
    objective = document["objective"]
    lines = [
        "# What the reasoners found",
        "",
        f"Goal: {_cell(document['goal'])}.",
        "",
        f"{document['simulations']} simulations ({_counts(document['by_status'])}).",
        "",
        "## The best five",
        "",
        f"| rank | candidate | `{objective}` | Outcome | reasoner | round |",
        "|---:|---|---:|---|---|---:|",
    ]
    for row in document["best"]:
        names = [name for name in row if name not in ("rank", "id", "reasoner", "round", objective)]
        what = _code(row[names[0]] if len(names) == 1 else {name: row[name] for name in names})
        lines.append(
            f"| {row['rank']} | {what} | {row[objective]!r} | `{row['id']}` | {row['reasoner']} | {row['round']} |"
        )
    if not document["best"]:
        lines.append("| – | nothing was evaluated | – | – | – | – |")
    how = f" Method: {_cell('; '.join(document['methods']))}." if document["methods"] else ""
    lines += ["", f"Values are those of the Outcomes with these ids.{how}", "", "## The reasoners", ""]
    for one in document["reasoners"]:
        refused = _counts(one["refused"]) if one["refused"] else "none"
        lines += [
            f"### {one['reasoner']}, from {_code(one['seed'])}",
            "",
            f"{effort(one)}. Calls answered with a reason: {refused}.",
            "",
            f"Ended: {_cell(one['failure'] or one['ended'] or 'it has not; go on with --resume')}.",
            "",
        ]
        if one["conclusion"]:
            quoted = "\n".join(f"> {line}" for line in one["conclusion"][:LONGEST_QUOTE].splitlines())
            lines += ["Its last conclusion, in its model's words, which nobody has checked:", "", quoted, ""]
    return "\n".join(lines)


def effort(one: Mapping[str, Any]) -> str:
    """What a reasoner of a summary has spent, for people. Pure."""
    names = ("rounds", "simulations", "questions")
    parts = (f"{one[name]:,} {name if one[name] != 1 else name[:-1]}" for name in names)
    return f"{', '.join(parts)}; {one['input_tokens']:,} tokens sent, {one['output_tokens']:,} received"


def _reasoner(one: Ended) -> dict[str, Any]:
    state = one.state
    return {
        "reasoner": state["reasoner"],
        "seed": state["seed"],
        "rounds": state["round"],
        "simulations": len(state["entries"]),
        **state["counts"],
        "ended": state["ended"],
        "failure": one.failure,
        "conclusion": state["conclusions"][-1] if state["conclusions"] else "",
    }


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
