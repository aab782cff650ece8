"""A mind that plans a search for alloys and ranks candidates, as campaigns ask it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.llm.talk import Answer, Call, Chat

IN_TURN = ["AuCu", "AuCu3", "Au3Cu", "Au2Cu2"]


def told(chat: Chat, block: int = 0) -> Any:
    """What the model was told, block by block."""
    return json.loads(re.findall(r"<data>\n(.*?)\n</data>", chat.texts("user")[0], re.DOTALL)[block])


def metallurgist(chat: Chat) -> Answer:
    """Plans the composition that was tried least, after one that is not of these elements; ranks the last one first."""
    if "rank_candidates" in chat.tools:
        indices = [one["index"] for one in told(chat, 1)]
        return Answer(calls=(Call("rank_candidates", {"ranking": indices[::-1], "reason": "The last one."}),))
    if not chat.tool_results():
        return Answer(calls=(Call("propose_compositions", {"compositions": ["CuPb"], "reason": "Lead is cheap."}),))
    done = told(chat)["evaluations_done"]
    names = [IN_TURN[done % len(IN_TURN)]]
    return Answer(calls=(Call("propose_compositions", {"compositions": names, "reason": "It is its turn."}),))
