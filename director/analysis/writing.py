"""The report of an analysis in Markdown and HTML: what the model wrote and was accepted, and the Outcomes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from director.analysis.spec import AnalysisFolder, AnalysisSpec
from director.analysis.state import AnalysisState
from simulations.disk import write_private

NO_TEXT = "No text: every one that the model wrote was refused, for the reasons below. The Outcomes follow as they are."
NO_PROPOSAL = "No simulation: nothing that the model proposed was acceptable, for the reasons below. Nothing was run."


def write(folder: AnalysisFolder, spec: AnalysisSpec, state: AnalysisState) -> None:
    """Writes both files, each whole or not at all.

    Raises:
        OSError: If they cannot be written.
    """
    document = document_of(spec, state)
    write_private(folder.markdown, markdown(document))
    write_private(folder.page, page(document))


def document_of(spec: AnalysisSpec, state: AnalysisState) -> dict[str, Any]:
    """All that the report says, as data. Every number of an Outcome is as the Outcome has it."""
    simulations = [_simulation(proposal, state["outcomes"]) for proposal in state["accepted"]]
    missing = {"no_text": NO_TEXT, "no_proposal": NO_PROPOSAL}.get(state["ended"], "")
    return {
        "title": state["title"] or "Analysis",
        "question": spec.question,
        "structure": spec.structure,
        "run": spec.run,
        "facts": state["facts"],
        "missing": missing,
        "paragraphs": state["paragraphs"],
        "overview": overview(simulations),
        "simulations": simulations,
        "refused": state["refused"],
        "text_refused": state["text_refused"],
        "model": spec.language.model,
        "endpoint": spec.language.base_url,
        "temperature": spec.language.temperature,
        "spent": state["spent"].get("analyst", {}),
        "ended": state["ended"],
    }


def _simulation(proposal: Mapping[str, Any], outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    outcome = outcomes.get(proposal["id"])
    chosen = {name: value for name, value in proposal["inputs"].items() if name != "structure"}
    found: dict[str, Any] = {"id": proposal["id"], "why": proposal["why"], "chosen": flat(chosen)}
    if outcome is None:
        return found | {"status": "not run", "result": {}, "error": None, "artifacts": {}, "key": "", "versions": {}}
    return found | {
        "status": outcome["status"],
        "result": flat(outcome["result"] or {}),
        "error": outcome["error"],
        "artifacts": outcome["artifacts"],
        "key": outcome["key"],
        "versions": outcome["versions"],
    }


def overview(simulations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each simulation: what was chosen differently, and the means that it found, to six digits."""
    chosen = list(dict.fromkeys(name for one in simulations for name in one["chosen"]))
    differing = [name for name in chosen if len({one["chosen"].get(name) for one in simulations}) > 1]
    means = list(dict.fromkeys(name for one in simulations for name in one["result"] if name.endswith(".mean")))
    return [
        {
            "id": one["id"],
            "status": one["status"],
            "values": {
                **{name: one["chosen"].get(name, "–") for name in differing},
                **{name: _six_digits(one["result"].get(name, "–")) for name in means[:MOST_MEANS]},
            },
        }
        for one in simulations
    ]


def _six_digits(text: str) -> str:
    try:
        return f"{float(text):.6g}"
    except ValueError:
        return text


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Values by their dotted names, written as JSON has them; empty ones are left out."""
    return dict(_flat(document, prefix))


def _flat(document: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None and value not in ([], ""):
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)


MOST_MEANS = 6
"""Means in the overview, which is to fit on a page."""

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>|~$&]|:(?=//)|^[-+#=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")


def escaped(text: str) -> str:
    """Text of a model or a file in Markdown: no link, picture, heading or tag can stand in it. One line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def code(text: str) -> str:
    """Text as code in Markdown, in a line."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{' '.join(text.split())}{space}{ticks}"


def markdown(document: Mapping[str, Any]) -> str:
    """The report in Markdown (CommonMark with tables)."""
    return "\n".join(_lines(document)).rstrip() + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {escaped(document['title'])}\n"
    yield f"Question: {escaped(document['question'])}\n"
    yield f"Structure: {code(document['structure'])}\n"
    if document["missing"]:
        yield f"**{document['missing']}**\n"
    for paragraph in document["paragraphs"]:
        cited = ", ".join(f"[{name}](#{name})" for name in paragraph["outcomes"])
        yield f"{escaped(paragraph['text'])}{f' ({cited})' if cited else ''}\n"
    yield "## Simulations\n"
    yield from _overview_lines(document["overview"])
    if document["run"]:
        yield f"Paths of files start from the folder of the run {code(document['run'])}.\n"
    for one in document["simulations"]:
        yield from _simulation_lines(one)
    if document["refused"] or document["text_refused"]:
        yield "## What was refused\n"
        for refusal in document["refused"]:
            yield f"- A proposal, {code(refusal['text'])}: {escaped('; '.join(refusal['problems']))}"
        for reason in document["text_refused"]:
            yield f"- A text: {escaped(reason)}"
        yield ""
    yield "## How this came about\n"
    yield f"Language model: {code(document['model'])}. {_spent(document)}"
    yield "The text above is the model's; every number in it stands in the Outcomes that its paragraph cites, or in the"
    yield "facts of the structure (digits within names are not looked at). Whether its conclusions are right, nobody"
    yield "has checked."


def _overview_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    names = list(rows[0]["values"])
    yield f"| Outcome | status | {' | '.join(map(code, names))} |"
    yield "|---" * (len(names) + 2) + "|"
    for row in rows:
        values = (code(value.replace("|", "/")) for value in row["values"].values())
        yield f"| [{row['id']}](#{row['id']}) | {row['status']} | {' | '.join(values)} |"
    yield "\nRounded to six digits.\n"


def _simulation_lines(one: Mapping[str, Any]) -> Iterator[str]:
    yield f'### <a id="{one["id"]}"></a>{one["id"]}: {one["status"]}\n'
    yield f"Why, by the model: {escaped(one['why'])}\n"
    if one["error"]:
        error = one["error"]
        yield f"{escaped(error['type'])}: {escaped(error['message'])}. {escaped(error['hint'])}\n"
    yield "| | name | value |\n|---|---|---|"
    for kind in ("chosen", "result"):
        for name, value in one[kind].items():
            yield f"| {kind} | {code(name)} | {code(value.replace('|', '/'))} |"
    yield ""
    for name, path in one["artifacts"].items():
        yield f"- {escaped(name)}: {code(path)}"
    yield ""


def _spent(document: Mapping[str, Any]) -> str:
    spent = document["spent"]
    if not spent:
        return ""
    return f"{spent['questions']} questions, {spent['input_tokens']} tokens sent, {spent['output_tokens']} received."


def page(document: Mapping[str, Any]) -> str:
    """The report in HTML: one file that needs no other and loads nothing."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader("director.analysis", "."), PackageLoader("director.report", ".")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("page.html.j2").render(document)
