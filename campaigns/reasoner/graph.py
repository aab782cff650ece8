"""The reasoner as a LangGraph graph.

plan → tool calling → simulate → conclude → (critique → update → tool calling | end)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from campaigns.language import Message, Reply, ToolFace
from campaigns.reasoner.board import Board
from campaigns.reasoner.checkpoint import config_of
from campaigns.reasoner.state import STEPS, ReasonerState
from campaigns.reasoner.steps import Steps, refused
from simulations.extras import need
from simulations.records import Outcome, Request

SUCCESSORS: Mapping[str, tuple[str, ...]] = {
    "plan": ("tool_calling", "end"),
    "tool_calling": ("tool_calling", "simulate", "conclude", "end"),
    "simulate": ("conclude",),
    "conclude": ("critique", "end"),
    "critique": ("update", "end"),
    "update": ("tool_calling", "end"),
}
"""Which steps may come after which."""

Run = Callable[[Sequence[Request]], Awaitable[Mapping[str, Outcome | str]]]
"""Evaluates Requests; gives for each, by its id, its Outcome, or why it was not accepted."""


class Ask(Protocol):
    """Asks the model of one reasoner."""

    async def __call__(self, messages: Sequence[Message], tools: Sequence[ToolFace]) -> Reply:
        """Answers a conversation.

        Raises:
            LanguageModelError: If no answer came.
        """
        ...


def build(steps: Steps[Any], ask: Ask, board: Board, run: Run, saver: Any) -> Any:
    """Compiles the graph of one reasoner.

    Each question to the model is a step of its own, and is kept before the next one begins: after an interruption no
    finished question is asked again.

    Args:
        steps: What it does.
        ask: Its model.
        board: What it shares with the others.
        run: What evaluates Requests.
        saver: Where its steps are kept; see `campaigns.reasoner.checkpoint.checkpoints`.

    Raises:
        ToolError: ``MissingExtra``, if LangGraph is not installed.
    """
    graph = need("langgraph.graph", "agents")
    builder = graph.StateGraph(ReasonerState)

    async def question(state: ReasonerState) -> ReasonerState:
        await board.tell(state)  # the step before may have been kept without having been told, before an interruption
        glance = await board.glance(state["reasoner"])
        asked = steps.question(state, glance)
        if asked is None:
            after = steps.halted(state, glance)
        else:
            reply = await ask(asked.messages, asked.tools)
            if state["next"] == "tool_calling":
                verdicts = steps.judged(state, reply)
                wanted = [verdict.key for verdict in verdicts if verdict.kind == "wanted"]
                claims = await board.claim(state["reasoner"], wanted)
                after = steps.replied(state, glance, reply, verdicts, claims)
            else:
                after = steps.replied(state, glance, reply)
        await board.tell(after)
        return after

    async def simulate(state: ReasonerState) -> ReasonerState:
        await board.tell(state)
        came = await run(steps.requests(state))
        found = {}
        for one in state["pending"]:
            what = came[one["id"]]
            found[one["id"]] = refused(one["id"], what) if isinstance(what, str) else steps.found(one, what)
        after = steps.evaluated(state, found)
        await board.tell(after)
        return after

    for step in STEPS:
        builder.add_node(step, simulate if step == "simulate" else question)
        ways = {name: graph.END if name == "end" else name for name in SUCCESSORS[step]}
        builder.add_conditional_edges(step, _next, ways)
    builder.add_edge(graph.START, "plan")
    return builder.compile(checkpointer=saver)


async def go_on(
    graph: Any, reasoner: str, before: ReasonerState | None, begin: ReasonerState, most: int
) -> ReasonerState:
    """Takes a reasoner to its end, from the beginning or from where it was interrupted.

    Args:
        graph: Its graph.
        reasoner: Its name.
        before: The last step that was kept; None: it has not begun.
        begin: The state that it begins with.
        most: More steps than it can make.

    Raises:
        LanguageModelError: If its model does not answer. What was done before is kept.
    """
    if before is not None and before["next"] == "end":
        return before
    config = {**config_of(reasoner), "recursion_limit": most}
    after: ReasonerState = await graph.ainvoke(None if before is not None else begin, config, durability="sync")
    return after


def _next(state: ReasonerState) -> str:
    return state["next"]
