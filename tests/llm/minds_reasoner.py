"""Minds of reasoners: what they propose is computed from the request, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.llm.minds import gullible
from tests.llm.talk import Answer, Call, Chat

POOL = (
    "CNC(N)=O",
    "Cc1nc(O)[nH]c1O",
    "NC(N)=O",
    "CC(N)=O",
    "CO",
    "CCO",
    "C=O",
    "CC=O",
    "C",
    "CC",
    "CCC",
    "C=C",
    "C#C",
    "N",
    "CN",
    "O",
    "CF",
    "FCF",
    "FC(F)F",
    "CC#N",
    "C#N",
    "NC=O",
    "O=CO",
    "CC(=O)O",
    "COC",
    "CSC",
    "CS",
    "c1ccccc1",
    "c1ccoc1",
    "c1cc[nH]c1",
    "C1CC1",
    "C1CO1",
    "CCl",
    "ClCCl",
    "N#N",
    "O=C=O",
    "CNC",
    "CN(C)C",
    "COC=O",
    "OO",
)
"""Small molecules with closed shells."""

ASKS = {
    "Write a short plan": "plan",
    "Call the tool now": "tool_calling",
    "You called no tool.": "tool_calling",
    "Conclude": "conclude",
    "Criticise": "critique",
    "Write the plan anew": "update",
}


def reasoner(chat: Chat) -> Answer:
    """Proposes what nobody has a result of, the seed first; concludes with the best result that it sees."""
    step = step_of(chat)
    known = results_of(chat)
    if step == "tool_calling":
        return Answer(calls=tuple(Call("ionization_energy", {"smiles": one}) for one in next_ones(chat, most(chat))))
    best = max(
        (one for one in known if one["status"] == "ok"),
        key=lambda one: one["result"]["ionization_energy_ev"],
        default=None,
    )
    said = "nothing is known yet" if best is None else f"the best is {best['id']}: {best['smiles']}"
    return Answer(f"[{name_of(chat)}] {step}: {said}.")


deceived = gullible(reasoner)


def silent(chat: Chat) -> Answer:
    """Never calls a tool."""
    return Answer(f"[{name_of(chat)}] I would rather think.")


def step_of(chat: Chat) -> str:
    """Which step asks: the last words that open or close its question decide."""
    text = chat.user
    found = [(text.rfind(words), step) for words, step in ASKS.items() if words in text]
    return max(found)[1]


def name_of(chat: Chat) -> str:
    """The reasoner that asks."""
    return chat.system.removeprefix("You are ").partition(",")[0]


def most(chat: Chat) -> int:
    """How many candidates it may name."""
    said = next(text for text in chat.texts("user") if "Call the tool now" in text)
    return int(said.rpartition("for 1 to ")[2].split()[0])


def results_of(chat: Chat) -> list[dict[str, Any]]:
    """Results that it is shown: its own, those of others, and those of this round."""
    said = [json.loads(text) for _, _, text in chat.tool_results()]
    return [
        *data(chat, "Your results (data)"),
        *data(chat, "Best results of other reasoners (data)"),
        *(one for one in said if "result" in one),
    ]


def next_ones(chat: Chat, count: int) -> Sequence[str]:
    """The next candidates that have no result and were not asked for in this round."""
    seed = data(chat, "Seed (data)")["smiles"]
    own = int(name_of(chat).rpartition("-")[2])
    order = [seed, *POOL[own::2], *POOL[1 - own % 2 :: 2]]
    known = {one["smiles"] for one in results_of(chat)}
    known |= {str((arguments or {}).get("smiles")) for _, arguments, _ in chat.tool_results()}
    return [one for one in dict.fromkeys(order) if one not in known][:count]


def data(chat: Chat, heading: str) -> Any:
    """The JSON under a heading."""
    for text in chat.texts("user"):
        for line in text.splitlines():
            if line.startswith(heading):
                return json.loads(line.partition(": ")[2])
    raise ValueError(f"nothing stands under {heading!r}")
