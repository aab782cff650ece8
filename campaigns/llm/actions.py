"""What an orchestrating model can do: the tools by which it generates, scores, queries and selects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from campaigns.language import ToolFace

MOST_REGIONS = 20
MOST_LINES = 50


def faces(
    generators: Sequence[str], scorers: Sequence[str], *, max_candidates: int, count: int, regions: bool
) -> list[ToolFace]:
    """The tools of one decision.

    Args:
        generators: Names of the generators.
        scorers: Names of the scorers; none: there is no tool to score.
        max_candidates: Most candidates of one call.
        count: Most candidates that may be selected.
        regions: Whether a part of the space can be named.
    """
    names: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    where: dict[str, Any] = {
        "regions": names
        | {"maxItems": MOST_REGIONS, "description": "Compositions to generate for, such as Cu3Au; empty: anywhere."}
    }
    generate = {
        "generator": {"type": "string", "enum": list(generators), "description": "Which generator."},
        "num_candidates": {
            "type": "integer",
            "minimum": 1,
            "maximum": max_candidates,
            "description": "How many candidates, for each composition if there are any.",
        },
        **(where if regions else {}),
    }
    some = names | {"minItems": 1, "description": "Names in the buffer, such as c3."}
    score = {
        "scorer": {"type": "string", "enum": list(scorers), "description": "Which scorer; more is better."},
        "candidates": some | {"description": "Names in the buffer, such as c3. Left out: all of the buffer."},
    }
    query = {
        "about": {
            "type": "string",
            "enum": ["buffer", "observations", "candidate", "composition"],
            "description": "buffer: what waits to be selected. observations: the last evaluations. candidate: all of "
            "one in the buffer. composition: the evaluations of one.",
        },
        "name": {"type": "string", "description": "Of the candidate or composition."},
    }
    select = {
        "candidates": some | {"maxItems": count, "description": f"At most {count} names in the buffer, best first."},
        "reason": {"type": "string", "maxLength": 4000, "description": "Why these, in a few sentences."},
    }
    found = [
        _face("generate", "Makes candidates; those that pass the filter come into the buffer.", generate, 2),
        _face("score", "Ranks candidates in the buffer.", score, 1),
        _face("query", "Looks something up.", query, 1),
        _face("select", "Ends this decision: these candidates are evaluated next.", select, 2),
    ]
    return [face for face in found if face.name != "score" or scorers]


def _face(name: str, description: str, properties: dict[str, Any], needed: int) -> ToolFace:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties)[:needed],
        "additionalProperties": False,
    }
    return ToolFace(name, description, schema)
