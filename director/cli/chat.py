"""``director chat``: a team of agents answers each message at the same time, on a terminal or for a script."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from director.cli.confirm import StateOption
from director.cli.console import INTERRUPTED, OK, SOME_NOT_OK, emit, endings, err_console
from director.cli.options import FilesOption
from director.cli.target import ExchangeOption, SecretOption, find_target
from director.door import Problem, Refused

if TYPE_CHECKING:
    from campaigns.language import ToolFace
    from director.interfaces.guarded import GuardedCaller
    from director.team.desk import Desk
    from director.team.settings import TeamFile
    from director.team.voices import Voice


class Place(enum.StrEnum):
    """What runs calls of models."""

    THREAD = "thread"
    NODES = "nodes"


@dataclass(frozen=True)
class _Asked:
    """What the command line says."""

    team: Path | None
    history: Path | None
    messages: list[str]
    as_json: bool
    new: bool
    reuse: bool
    on: Place
    nodes: int | None
    allocation: str
    run: str | None
    policy: Path | None
    state: Path | None
    exchange: str | None
    exchange_secret: Path | None
    files: Path
    wait_s: float


def chat(
    team: Annotated[
        Path | None, typer.Argument(metavar="TEAM", help="A team file. None: the shipped trio of agents.")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="File of the history; made if it is not there. Default: one for each team's name."),
    ] = None,
    message: Annotated[
        list[str] | None,
        typer.Option(help="Send this message, or do this command, and end; for scripts. May be repeated."),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin a new conversation in the history.")] = False,
    no_reuse: Annotated[
        bool, typer.Option("--no-reuse", help="Ask models again also what they were asked before, word for word.")
    ] = False,
    on: Annotated[
        Place, typer.Option(help="What runs calls of models: threads of this process, or workers on nodes.")
    ] = Place.THREAD,
    nodes: Annotated[
        int | None,
        typer.Option(min=1, help="With --on nodes: how many. Default: all of the batch job, or 1 elsewhere."),
    ] = None,
    allocation: Annotated[str, typer.Option(help="With --on nodes: auto, local, slurm, pbs, lsf or flux.")] = "auto",
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="The open run whose Tools agents call, instead of the team file's."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="Policy file: what agents may do with the run and spend, and when you are asked."),
    ] = None,
    state: StateOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    files: FilesOption = Path(),
    wait_s: Annotated[
        float,
        typer.Option(min=0.1, help="How long an agent waits for a Tool's result, in s. What takes longer goes on."),
    ] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document for each line.")] = False,
) -> None:
    """Talk to a team of agents: all answer each message at the same time, and one answer says who said what.

    Needs the extra `agents`: pip install "md-director[agents]". Models are found by DIRECTOR_LLM_BASE_URL,
    DIRECTOR_LLM_MODEL and DIRECTOR_LLM_API_KEY. Type /help for commands; Ctrl-C cancels a message, Ctrl-D ends.
    Exit codes: 0 every agent answered every message, 1 some did not, 2 refused before anything was asked, 3 it failed.
    """
    with endings(as_json, interrupted="interrupted; what was said is in the history"):
        asked = _Asked(
            team, history, list(message or []), as_json, new, not no_reuse, on, nodes, allocation, run, policy,
            state, exchange, exchange_secret, files, wait_s,
        )  # fmt: skip
        code = asyncio.run(_chat(asked, os.environ))
    raise typer.Exit(code)


async def _chat(asked: _Asked, environment: Mapping[str, str]) -> int:
    from rich.console import Console

    from director.runs import home
    from director.team.chatting import TYPED_BEFORE, Chat, given_lines, piped_lines, typed_lines
    from director.team.history import History
    from director.team.session import Team
    from director.team.settings import read_team
    from director.team.shipped import shipped_team
    from director.team.voices import voices_of

    file = read_team(asked.team) if asked.team is not None else shipped_team()
    voices = voices_of(file, environment)
    path = asked.history or home(environment) / "chat" / f"{file.name}.sqlite"
    async with contextlib.AsyncExitStack() as stack:
        history = stack.enter_context(History(path))
        if asked.new:
            history.begin_conversation()
        run, tools, faces = await stack.enter_async_context(_tools(file, asked))
        desk = await asyncio.to_thread(_desk, file, voices, asked, path.parent, environment)
        stack.callback(desk.close)
        languages = {name: voice.settings for name, voice in voices.items()}
        team = Team(file, languages, desk, history, tools=tools, faces=faces, reuse=asked.reuse)
        on_terminal = not asked.messages and sys.stdin.isatty() and not asked.as_json
        chat = Chat(
            team,
            how=desk.how,
            run=run,
            out=Console(highlight=False),
            err=err_console(),
            emit=emit if asked.as_json else None,
            on_terminal=on_terminal,
        )
        if asked.messages:
            lines = given_lines(asked.messages)
        elif on_terminal:
            _greet(team, history)
            lines = typed_lines(history.typed(TYPED_BEFORE))
        else:
            lines = piped_lines(sys.stdin)
        await chat.talk(lines)
    if on_terminal:
        return OK
    if chat.cancelled:
        return INTERRUPTED
    return OK if chat.all_ok else SOME_NOT_OK


def _greet(team: Any, history: Any) -> None:
    names = ", ".join(member.name for member in team.members.all)
    before = f"; {history.last()} messages in its history" if history.last() else ""
    err_console().print(f"team {team.file.name} ({team.file.mode}): {names}{before}. /help says what can be typed.")
    if history.interrupted:
        err_console().print(f"{history.interrupted} messages had no end when the last chat did; see /history")


def _desk(
    file: TeamFile, voices: Mapping[str, Voice], asked: _Asked, folder: Path, environment: Mapping[str, str]
) -> Desk:
    if asked.on is Place.NODES:
        from director.team.on_nodes import NodesDesk

        return NodesDesk(
            voices,
            file.slots,
            folder=folder,
            environment=environment,
            nodes=asked.nodes,
            allocation=asked.allocation,
        )
    if asked.nodes is not None or asked.allocation != "auto":
        raise Refused([Problem("--nodes", "and --allocation go with --on nodes", "Add it, or leave them out")])
    from director.team.app import ThreadsDesk

    return ThreadsDesk(voices, file.slots)


@contextlib.asynccontextmanager
async def _tools(
    file: TeamFile, asked: _Asked
) -> AsyncIterator[tuple[dict[str, Any] | None, dict[str, GuardedCaller], dict[str, list[ToolFace]]]]:
    """The run that agents may call Tools of, and what calls them for each; nothing, if none of them may."""
    wanted = {agent.name: agent.tools for agent in file.agents if agent.tools}
    word = asked.run or _run_of(file, asked.team)
    if not wanted:
        for option, given in (("--run", asked.run), ("--policy", asked.policy)):
            if given is not None:
                raise Refused([Problem(option, "no agent of the team has tools", "Give one some, or leave it out")])
        yield None, {}, {}
        return
    if word is None:
        message = f"{', '.join(wanted)} may call tools, and there is no run to call them on"
        raise Refused([Problem("run", message, "Name an open one with --run, or `run:` in the team file")])
    if not asked.files.is_dir():
        raise Refused([Problem("--files", f"{asked.files} is not a folder", "Name one that is there")])
    from director.interfaces.guarded import STATE, GuardedCaller, Origin, state_of
    from director.interfaces.policy import read_policy

    policy = None if asked.policy is None else read_policy(asked.policy)
    target = find_target(word, asked.exchange, asked.exchange_secret)
    async with await target.fleet() as fleet:
        here = fleet.folder is not None
        state = asked.state or (state_of(fleet) if here else target.store.folder(fleet.record.run_id).path / STATE)
        caller = GuardedCaller.of(fleet, "chat", policy=policy, state=state, base=asked.files, wait_s=asked.wait_s)
        callers = {name: caller.for_agent(name, Origin("chat", "director chat")) for name in wanted}
        faces = {name: _faces(callers[name], tools, word) for name, tools in wanted.items()}
        yield {"run": fleet.record.run_id, "tools": wanted, "audit": str(state)}, callers, faces


def _faces(caller: GuardedCaller, names: list[str], run: str) -> list[ToolFace]:
    """The Tools of an agent as its model is told of them.

    Raises:
        Refused: If the run has no such Tool, or the agent may not call it.
    """
    from campaigns.language import ToolFace

    every, mine = {face.name for face in caller.every_face}, {face.name: face for face in caller.faces}
    for name in names:
        if name not in every:
            hint = f"There are: {', '.join(sorted(every))}"
            raise Refused([Problem(f"agents.{caller.agent}.tools", f"run {run} has no {name!r}", hint)])
        if name not in mine:
            hint = f"It allows: {', '.join(sorted(mine)) or 'nothing'}"
            raise Refused([Problem(f"agents.{caller.agent}.tools", f"the policy does not allow {name!r}", hint)])
    return [ToolFace(name, mine[name].description, mine[name].schema) for name in names]


def _run_of(file: TeamFile, path: Path | None) -> str | None:
    """The run that a team file names. What looks like a path starts from the file's folder."""
    if file.run is None or path is None:
        return file.run
    here = path.resolve().parent / file.run
    return str(here) if "/" in file.run or here.is_dir() else file.run
