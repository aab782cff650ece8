"""The text of the report: what the model is told of Outcomes, and what of its text is accepted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaigns.language import Message, ToolFace
from campaigns.llm.decide import Unusable
from campaigns.llm.prompts import DATA_NOTE, data
from director.analysis.numbers import not_in
from director.analysis.spec import AnalysisSpec
from director.analysis.state import Document

TOOL = "write_report"

SYSTEM = (
    "You report on simulations to a scientist, in plain words. Every number in a paragraph must stand in the Outcomes "
    "that the paragraph cites, or in the facts of the structure; you may round, but keep at least three digits. "
    "Compute nothing, convert no units, and say nothing that the Outcomes do not show. Report simulations that failed "
    "too."
)

QUOTED = ("status", "inputs", "result", "error")
"""What of an Outcome the model is told, and may quote."""

FACE = ToolFace(
    TOOL,
    "Hands in the text of the report.",
    {
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 200, "description": "A title without numbers."},
            "paragraphs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 20,
                "items": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string", "minLength": 1, "maxLength": 4000, "description": "Plain text."},
                        "outcomes": {
                            "type": "array",
                            "items": {"type": "string"},
                            "maxItems": 100,
                            "description": "Ids of the Outcomes that the numbers of this paragraph come from.",
                        },
                    },
                    "required": ["text", "outcomes"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["title", "paragraphs"],
        "additionalProperties": False,
    },
)


def opening(spec: AnalysisSpec, facts: Mapping[str, Any], outcomes: Mapping[str, Document]) -> list[Message]:
    """The request for the text."""
    told = [quoted(outcome) for outcome in outcomes.values()]
    text = (
        f"The question: {spec.question}\n\nFacts of the structure:\n{data(dict(facts))}\n\nOutcomes:\n{data(told)}\n"
        f"{DATA_NOTE}\n\nWrite the report by calling {TOOL} once."
    )
    return [Message("system", SYSTEM), Message("user", text)]


def quoted(outcome: Mapping[str, Any]) -> Document:
    """What of an Outcome may be quoted, with its id."""
    return {"id": outcome["id"], **{name: outcome[name] for name in QUOTED if outcome.get(name) is not None}}


def check_text(
    arguments: Mapping[str, Any], facts: Mapping[str, Any], outcomes: Mapping[str, Document]
) -> tuple[str, list[Document]]:
    """Takes a text that says nothing which the Outcomes do not have.

    Args:
        arguments: Of ``write_report``; they fit its schema.
        facts: Of the structure; their numbers may stand anywhere.
        outcomes: By their ids.

    Returns:
        The title and the paragraphs.

    Raises:
        Unusable: With every paragraph that cites an unknown Outcome or has a number that is not in those it cites.
    """
    problems = _strange("the title", str(arguments["title"]), [dict(facts)])
    paragraphs = []
    for number, paragraph in enumerate(arguments["paragraphs"], 1):
        text, cited = str(paragraph["text"]), list(dict.fromkeys(paragraph["outcomes"]))
        unknown = [name for name in cited if name not in outcomes]
        if unknown:
            problems.append(f"paragraph {number} cites {unknown[0]!r}; there is {', '.join(outcomes)}")
            continue
        known = [quoted(outcomes[name]) for name in cited]
        problems += _strange(f"paragraph {number}", text, [dict(facts), len(cited), *known])
        paragraphs.append({"text": text, "outcomes": cited})
    if problems:
        raise Unusable("; ".join(problems) + ".")
    return str(arguments["title"]), paragraphs


def _strange(where: str, text: str, known: list[Any]) -> list[str]:
    strange = not_in(text, known)
    if not strange:
        return []
    return [f"{where} has numbers that are not in what it cites: {', '.join(strange[:10])}"]
