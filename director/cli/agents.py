"""``director mcp``: serves a run to agents by the Model Context Protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from director.cli.confirm import StateOption
from director.cli.console import endings, err_console
from director.cli.options import FilesOption
from director.cli.target import ExchangeOption, SecretOption, Target, find_target
from director.door import Problem, Refused

if TYPE_CHECKING:
    from director.fleet import Fleet
    from director.interfaces.guarded import GuardedCaller
    from director.interfaces.guarding import Guard

DEFAULT_AGENT = "agent"
TOKENS_FILE, HUMAN_FILE = "tokens.json", "human.json"
TIME = "{time}"
STOPPED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True)
class Asked:
    """What ``director mcp`` is to do.

    Attributes:
        target: The run, if it is there already.
        run_dir: Folder of a new run.
        launch: What `Fleet.launch` is given for it.
        only: Names of what is served; empty: all.
        files: Folder that files which an agent names must lie in.
        wait_s: How long a call of a Tool waits, in s.
        policy: The policy file.
        agents: Names of the agents.
        http: The port, if it is served over HTTP.
        confirm_port: The port on which the person may answer.
        state: Folder of log, questions and tokens.
        ready_file: What is written when it answers.
    """

    target: Target | None
    run_dir: Path | None
    launch: dict[str, Any]
    only: list[str]
    files: Path
    wait_s: float
    policy: Path | None
    agents: list[str]
    http: int | None
    confirm_port: int | None
    state: Path | None
    ready_file: Path | None


def mcp(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run folder, or the name of a run that was submitted.")
    ] = None,
    run_option: Annotated[str | None, typer.Option("--run", metavar="RUN", help="The same, as an option.")] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help=f"Launch Directors here, with a new run in this folder, and end them with the server. {TIME} in it "
            "stands for the time, so that each start has a folder of its own."
        ),
    ] = None,
    directors: Annotated[int, typer.Option(min=1, max=1024, help="With --run-dir: how many Directors.")] = 1,
    nodes: Annotated[
        int | None, typer.Option(min=1, max=1024, help="With --run-dir: how many nodes they share.")
    ] = None,
    tool_file: Annotated[
        list[Path] | None, typer.Option(help="With --run-dir: a tool file, whose Tool the run has, too.")
    ] = None,
    tool: Annotated[
        list[str] | None, typer.Option(help="Serve this Tool or action only. May be repeated. Default: all.")
    ] = None,
    files: FilesOption = Path(),
    wait_s: Annotated[
        float,
        typer.Option(min=0.1, help="How long a call of a Tool waits for its result, in s. What takes longer goes on."),
    ] = 300.0,
    policy: Annotated[
        Path | None, typer.Option(help="Policy file: what agents may do and spend, and when you are asked.")
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(help="Name of the agent, by which the policy goes. With --http, several: each has a token."),
    ] = None,
    http: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="Serve over HTTP on loopback; 0: a port that is free."),
    ] = None,
    confirm_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Let questions be answered over HTTP on this port, too; 0: a free one.",
        ),
    ] = None,
    state: StateOption = None,
    ready_file: Annotated[Path | None, typer.Option(help="File to write when the server answers.")] = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
) -> None:
    """Serve a run to agents by MCP: its Tools, and submit, status, outcomes, cancel, read_artifact, report and more.

    Over standard input and output until that closes, or with --http until Ctrl-C or SIGTERM. A run that was open goes
    on when the server ends; one of --run-dir ends with it. Needs the extra `agents`.
    """
    with endings(as_json=False, interrupted="ended"):
        word = _one_run(run, run_option, run_dir)
        if not files.is_dir():
            raise Refused([Problem("--files", f"{files} is not a folder", "Name one that is there")])
        asked = Asked(
            target=find_target(word, exchange, exchange_secret) if word is not None else None,
            run_dir=_stamped(run_dir) if run_dir is not None else None,
            launch={"directors": directors, "nodes": nodes, "tools": [str(path) for path in tool_file or []]},
            only=tool or [],
            files=files,
            wait_s=wait_s,
            policy=policy,
            agents=_names(agent or [], http is not None),
            http=http,
            confirm_port=confirm_port,
            state=state,
            ready_file=ready_file,
        )
        asyncio.run(_stoppable(asked))


def _one_run(run: str | None, option: str | None, run_dir: Path | None) -> str | None:
    given = [word for word in (run, option, run_dir) if word is not None]
    if len(given) != 1:
        message = "is not given" if not given else "is given more than once"
        raise Refused([Problem("RUN", message, "Name an open run, or a folder for a new one with --run-dir")])
    return run if run is not None else option


def _stamped(path: Path) -> Path:
    return Path(str(path).replace(TIME, f"{datetime.now():%Y%m%d-%H%M%S-%f}")).expanduser()


def _names(agents: list[str], http: bool) -> list[str]:
    from pydantic import TypeAdapter, ValidationError

    from director.interfaces.policy import AgentName

    for name in agents:
        try:
            TypeAdapter(AgentName).validate_python(name)
        except ValidationError:
            hint = "Use letters, digits, '.', '_' and '-'"
            raise Refused([Problem("--agent", f"{name!r} is no name of an agent", hint)]) from None
    if len(agents) > 1 and not http:
        raise Refused([Problem("--agent", "is given more than once", "Standard input has one agent; see --http")])
    return agents or [DEFAULT_AGENT]


async def _stoppable(asked: Asked) -> None:
    """Serves until that ends or a signal comes; all is put in order then."""
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(_serve(asked), name="serve agents")
    for number in STOPPED:
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _serve(asked: Asked) -> None:
    from director.interfaces.extras import need

    need("mcp.server")
    from director.interfaces.actions import RunActions
    from director.interfaces.guarded import GuardedCaller
    from director.interfaces.guarding import Guard
    from director.interfaces.policy import Policy, read_policy

    policy = Policy() if asked.policy is None else await asyncio.to_thread(read_policy, asked.policy)
    async with contextlib.AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(_fleet(asked))
        guard = Guard(asked.state or _state(fleet, asked.target), policy)
        caller = GuardedCaller(RunActions(fleet, base=asked.files, wait_s=asked.wait_s), guard, asked.agents[0])
        unknown = sorted(set(asked.only) - {face.name for face in caller.every_face})
        if unknown:
            hint = f"There are: {', '.join(sorted(face.name for face in caller.every_face))}"
            raise Refused([Problem("--tool", f"there is no tool {unknown[0]!r}", hint)])
        with _ready(asked.ready_file) as ready:
            await _serve_by(asked, fleet, guard, caller, ready)


async def _serve_by(asked: Asked, fleet: Fleet, guard: Guard, caller: GuardedCaller, ready: Any) -> None:
    from director.interfaces import serving
    from director.interfaces.gate import CONFIRM_PATH, MCP_PATH, Gate, Tokens, human_token, tokens_in
    from director.interfaces.mcp import server_of

    everything = asked.http is not None
    state = guard.log.path.parent
    server = server_of(caller, fleet.record.run_id, only=asked.only or None, everything=everything)
    said: dict[str, Any] = {
        "run": fleet.record.run_id,
        "pid": os.getpid(),
        "tools": len(await server.list_tools()),
        "audit": str(guard.log.path),
    }
    async with contextlib.AsyncExitStack() as stack:
        if asked.http is not None:
            sock = serving.listen(asked.http)
            port = sock.getsockname()[1]
            tokens = tokens_in(state / TOKENS_FILE, asked.agents)
            human = human_token(state / HUMAN_FILE)
            gate = serving.http_gate(server, tokens.model_copy(update={"human": human}), port, guard.questions)
            said |= {"url": f"http://{serving.LOOPBACK}:{port}{MCP_PATH}", "tokens": str(state / TOKENS_FILE)}
            said |= {"confirm": f"http://{serving.LOOPBACK}:{port}{CONFIRM_PATH}", "human": str(state / HUMAN_FILE)}
            await ready(said)
            await serving.serve_http(gate, sock)
            return
        if asked.confirm_port is not None:
            sock = serving.listen(asked.confirm_port)
            port = sock.getsockname()[1]
            gate = Gate(Tokens(human=human_token(state / HUMAN_FILE)), port, questions=guard.questions)
            said |= {"confirm": f"http://{serving.LOOPBACK}:{port}{CONFIRM_PATH}", "human": str(state / HUMAN_FILE)}
            beside = asyncio.create_task(serving.serve_http(gate, sock), name="confirm")
            stack.push_async_callback(_ended, beside)
        await ready(said)
        await serving.serve_stdio(server)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _ready(file: Path | None) -> Any:
    """Says that the server answers: to people, and in a file for programs, which is gone when it does not any more."""

    async def ready(said: dict[str, Any]) -> None:
        if file is not None:
            from simulations.disk import write_private

            await asyncio.to_thread(write_private, file, json.dumps(said))
        lines = [f"serving {said['tools']} tools of run {said['run']}"]
        if "url" in said:
            lines.append(f"agents: {said['url']}, with a token from {said['tokens']}")
        if "confirm" in said:
            lines.append(f"questions to you: {said['confirm']}, with the token in {said['human']}")
        for line in lines:
            err_console().print(line, soft_wrap=True, markup=False)

    try:
        yield ready
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _fleet(asked: Asked) -> AsyncIterator[Fleet]:
    """The run: one that is open, or a new one, which ends with the server."""
    from director.fleet import Fleet

    if asked.target is not None:
        async with await asked.target.fleet() as fleet:
            yield fleet
        return
    assert asked.run_dir is not None  # noqa: S101  (`_one_run` has seen to it)
    err_console().print(f"launching Directors in {asked.run_dir}", soft_wrap=True, markup=False)
    async with Fleet.launch(run_dir=asked.run_dir, **asked.launch) as fleet:
        yield fleet


def _state(fleet: Fleet, target: Target | None) -> Path:
    from director.interfaces.guarded import STATE, state_of

    if fleet.folder is not None or target is None:
        return state_of(fleet)
    return target.store.folder(fleet.record.run_id).path / STATE
