"""Minds that propose simulations of a structure and report on them, as `director analyze` asks."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.llm.talk import Answer, Call, Chat

STEPS = 200
TEN_PS_FS = 10_000.0


def analyst(chat: Chat) -> Answer:
    """Proposes one simulation for each temperature in the question, and reports what the Outcomes say.

    Where the question speaks of a time step in ps, it first proposes that, and 2 fs when that was refused.
    """
    if "write_report" in chat.tools:
        return _report(chat)
    asked = chat.texts("user")[0].partition("\n")[0]
    temperatures = [float(text) for text in re.findall(r"(\d+) K", asked)] or [300.0]
    step_fs = next((1000.0 * float(text) for text in re.findall(r"(\d+) ps", asked)), 2.0)
    if any("timestep_fs" in answer for _, _, answer in chat.tool_results("md")):
        step_fs = 2.0
    chosen: dict[str, Any] = {"timestep_fs": step_fs, "solvent": "vacuum"}
    if "steps" in chat.tools["md"]["properties"]:
        chosen["steps"] = STEPS
    calls = [Call("md", {**chosen, "temperature_k": one, "why": f"To see it at {one:g} K."}) for one in temperatures]
    return Answer("I look at each temperature.", tuple(calls))


def inventor(chat: Chat) -> Answer:
    """The same, but its first report has a number of its own invention."""
    answer = analyst(chat)
    if "write_report" not in chat.tools or chat.tool_results("write_report"):
        return answer
    document = json.loads(answer.calls[0].text)
    document["paragraphs"][0]["text"] += " The melting point is 351.7 K."
    return Answer(calls=(Call("write_report", document),))


def outcomes_told(chat: Chat) -> list[dict[str, Any]]:
    """The Outcomes that a report was asked for."""
    blocks = re.findall(r"<data>\n(.*?)\n</data>", chat.texts("user")[0], re.DOTALL)
    found: list[dict[str, Any]] = json.loads(blocks[-1])
    return found


def _report(chat: Chat) -> Answer:
    paragraphs = [{"text": _sentence(one), "outcomes": [one["id"]]} for one in outcomes_told(chat)]
    return Answer(calls=(Call("write_report", {"title": "What was seen", "paragraphs": paragraphs}),))


def _sentence(outcome: dict[str, Any]) -> str:
    if outcome["status"] != "ok":
        return f"This simulation failed: {outcome['error']['message']}."
    result = outcome["result"]
    energy, temperature = result["potential_energy_kj_mol"]["mean"], outcome["inputs"]["temperature_k"]
    return f"At {temperature:g} K the mean potential energy is {energy:.2f} kJ/mol over {result['n_frames']} frames."
