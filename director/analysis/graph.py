"""The graph: analysis → simulation → report, with LangGraph.

``analysis`` and ``report`` each ask the model once a step, and go to themselves again while it has corrections left, so
that each reply is kept before anything else happens. An interrupted graph goes on with the step that it was at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from campaigns.language import Message, Reply, ToolFace
from campaigns.llm.decide import Unusable, answers, read_call
from campaigns.llm.packages import load
from director.analysis import proposals, text
from director.analysis.spec import AnalysisSpec
from director.analysis.state import AnalysisState, Document, read, written
from simulations.records import Outcome, Request
from simulations.tool import AnyTool

THREAD = "analysis"
STEPS = ("analysis", "simulation", "report")
SPARE_STEPS = 10


@dataclass(frozen=True)
class Hands:
    """How the graph reaches the world.

    Attributes:
        ask: Asks the model: messages and the tool that it must call.
        run: Runs Requests on Directors; gives their Outcomes.
        spent: What the model has cost so far.
        told: Is told of each state.
    """

    ask: Callable[[Sequence[Message], ToolFace], Awaitable[Reply]]
    run: Callable[[Sequence[Request]], Awaitable[Sequence[Outcome]]]
    spent: Callable[[], Document]
    told: Callable[[AnalysisState], None]


def build(spec: AnalysisSpec, tool: AnyTool, inputs: Path, hands: Hands, saver: Any) -> Any:
    """Compiles the graph.

    Args:
        spec: What is asked.
        tool: The Tool that simulates.
        inputs: Folder that holds the structure.
        hands: How it reaches the world.
        saver: LangGraph's, which keeps each state.

    Raises:
        NotConfigured: If LangGraph is not installed.
    """
    graph = load("langgraph.graph")

    async def analysis(state: AnalysisState) -> AnalysisState:
        talk = read(state["talk"]) or proposals.opening(spec, state["facts"], tool)
        reply = await hands.ask(talk, proposals.face_of(tool, spec))
        return _after(proposed(state, talk, reply, spec, tool, inputs), hands)

    async def simulation(state: AnalysisState) -> AnalysisState:
        outcomes = await hands.run([proposals.request_of(one, spec) for one in state["accepted"]])
        return _after(simulated(state, outcomes), hands)

    async def report(state: AnalysisState) -> AnalysisState:
        talk = read(state["talk"]) or text.opening(spec, state["facts"], state["outcomes"])
        reply = await hands.ask(talk, text.FACE)
        return _after(reported(state, talk, reply, spec), hands)

    builder = graph.StateGraph(AnalysisState)
    for name, node in zip(STEPS, (analysis, simulation, report), strict=True):
        builder.add_node(name, node)
        builder.add_conditional_edges(name, _next, {**{step: step for step in STEPS}, "end": graph.END})
    builder.add_edge(graph.START, STEPS[0])
    return builder.compile(checkpointer=saver)


def _next(state: AnalysisState) -> str:
    return state["next"]


def _after(state: AnalysisState, hands: Hands) -> AnalysisState:
    after = cast(AnalysisState, {**state, "spent": hands.spent()})
    hands.told(after)
    return after


async def go_on(graph: Any, before: AnalysisState | None, begin: AnalysisState, spec: AnalysisSpec) -> AnalysisState:
    """Takes an analysis to its end, from the beginning or from where it was interrupted.

    Args:
        graph: Its graph.
        before: The last state that was kept; None: it has not begun.
        begin: The state that it begins with.
        spec: What is asked; bounds the steps.

    Raises:
        LanguageModelError: If the model does not answer. What was done before is kept.
    """
    if before is not None and before["next"] == "end":
        return before
    config = {**config_of(), "recursion_limit": 2 * (spec.max_corrections + 1) + SPARE_STEPS}
    after: AnalysisState = await graph.ainvoke(None if before is not None else begin, config, durability="sync")
    return after


def config_of() -> dict[str, Any]:
    """Under which name LangGraph keeps the steps."""
    return {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}


async def kept(saver: Any) -> AnalysisState | None:
    """The last state that was kept; None: the analysis has not begun."""
    found = await saver.aget_tuple(config_of())
    values = {} if found is None else found.checkpoint["channel_values"]
    if any(name not in values for name in AnalysisState.__annotations__):
        return None
    return cast(AnalysisState, {name: values[name] for name in AnalysisState.__annotations__})


# What each reply makes of the state. Pure, but for files that the door looks at.


def proposed(
    state: AnalysisState, talk: list[Message], reply: Reply, spec: AnalysisSpec, tool: AnyTool, inputs: Path
) -> AnalysisState:
    """After a reply to the question for proposals."""
    calls = reply.message.tool_calls
    judged = proposals.judge(calls, state["accepted"], spec, tool, inputs)
    refused = [*state["refused"], *judged.refused]
    if not calls and not judged.accepted:
        refused.append({"text": reply.message.content[:2000], "problems": [f"nothing was proposed: call {tool.name}"]})
    wrong = bool(judged.refused) or not judged.accepted
    corrections = state["corrections"] + wrong
    after: dict[str, Any] = {**state, "accepted": judged.accepted, "refused": refused}
    # A reply without calls after something was accepted says that there is no more to come.
    if wrong and calls and corrections <= spec.max_corrections:
        said = written([*talk, reply.message, *judged.answers])
        return cast(AnalysisState, after | {"talk": said, "corrections": corrections})
    if wrong and not calls and corrections <= spec.max_corrections:
        said = written([*talk, reply.message, *answers((), f"nothing was proposed: call {tool.name}.", tool.name)])
        return cast(AnalysisState, after | {"talk": said, "corrections": corrections})
    if not judged.accepted:
        return cast(AnalysisState, after | {"talk": [], "ended": "no_proposal", "next": "end"})
    return cast(AnalysisState, after | {"talk": [], "corrections": 0, "next": "simulation"})


def simulated(state: AnalysisState, outcomes: Sequence[Outcome]) -> AnalysisState:
    """After the simulations. Outcomes are attributed by their ids, and are in the order of the proposals."""
    found = {outcome.id: outcome.model_dump(mode="json") for outcome in outcomes}
    by_id = {one["id"]: found[one["id"]] for one in state["accepted"]}
    return cast(AnalysisState, {**state, "outcomes": by_id, "talk": [], "corrections": 0, "next": "report"})


def reported(state: AnalysisState, talk: list[Message], reply: Reply, spec: AnalysisSpec) -> AnalysisState:
    """After a reply to the request for a text."""
    calls = reply.message.tool_calls
    try:
        if not calls:
            raise Unusable("there is no tool call.")
        read_calls = [read_call(call, [text.FACE]) for call in calls]
        if any(other != read_calls[0] for other in read_calls[1:]):
            raise Unusable(f"{text.TOOL} was called several times: call it once.")
        title, paragraphs = text.check_text(read_calls[0], state["facts"], state["outcomes"])
    except Unusable as error:
        corrections = state["corrections"] + 1
        after = {**state, "text_refused": [*state["text_refused"], str(error)], "corrections": corrections}
        if corrections > spec.max_corrections:
            return cast(AnalysisState, after | {"talk": [], "ended": "no_text", "next": "end"})
        said = written([*talk, reply.message, *answers(calls, str(error), text.TOOL)])
        return cast(AnalysisState, after | {"talk": said})
    return cast(
        AnalysisState, {**state, "title": title, "paragraphs": paragraphs, "talk": [], "ended": "done", "next": "end"}
    )
