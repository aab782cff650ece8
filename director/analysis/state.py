"""What an analysis knows between two steps. All of it is JSON, and every key is declared: LangGraph drops others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypedDict

from campaigns.language import Message, ToolCall

Document = dict[str, Any]


class AnalysisState(TypedDict):
    """The state of the graph.

    Attributes:
        facts: What the structure file says of itself.
        talk: The conversation of the step that is going on.
        accepted: Proposals that passed the door: ``id``, ``inputs``, ``why``, ``key``.
        refused: Proposals that did not: ``text`` and ``problems``.
        corrections: How often the step that is going on has gone back to the model.
        outcomes: Outcomes by the ids of their Requests, as JSON.
        title: Of the report's text; empty: there is none.
        paragraphs: Of the report: ``text`` and ``outcomes``, the ids that it cites.
        text_refused: Why texts of the report were not accepted.
        spent: What the language model has cost so far; see `campaigns.llm.Meter`.
        ended: How it ended: ``done``, ``no_proposal`` or ``no_text``; empty: it has not.
        next: The step to do next.
    """

    facts: Document
    talk: list[Document]
    accepted: list[Document]
    refused: list[Document]
    corrections: int
    outcomes: dict[str, Document]
    title: str
    paragraphs: list[Document]
    text_refused: list[str]
    spent: Document
    ended: str
    next: str


def fresh(facts: Document) -> AnalysisState:
    """The state at the beginning."""
    return AnalysisState(
        facts=facts,
        talk=[],
        accepted=[],
        refused=[],
        corrections=0,
        outcomes={},
        title="",
        paragraphs=[],
        text_refused=[],
        spent={},
        ended="",
        next="analysis",
    )


def written(messages: Sequence[Message]) -> list[Document]:
    """Messages as JSON."""
    return [asdict(message) for message in messages]


def read(documents: Sequence[Document]) -> list[Message]:
    """Messages of such documents."""
    return [
        Message(**{**document, "tool_calls": tuple(ToolCall(**call) for call in document["tool_calls"])})
        for document in documents
    ]
