"""The gate before what is served over HTTP: who may come in is decided by the headers, before a body is read.

A page in a browser can send requests to loopback, also under a name of its own (DNS rebinding). So the ``Host`` must be
one of loopback's, an ``Origin`` must be absent or loopback's, and a token must be shown, which no page knows.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from director.door import Problem, Refused
from director.interfaces.confirming import Answer, Questions
from director.interfaces.mcp_tool import AGENT
from director.interfaces.policy import AgentName
from simulations.disk import write_private

MCP_PATH = "/mcp"
CONFIRM_PATH = "/confirm"
HOSTS = ("127.0.0.1", "localhost")
MOST_BODY_BYTES = 10_000
TOKEN_BYTES = 32
SHORTEST_TOKEN = 20

Header = tuple[bytes, bytes]


class Tokens(BaseModel):
    """Who may come in, by what they show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: dict[AgentName, str] = Field(default={}, description="For each agent its token.")
    human: str | None = Field(default=None, description="The token of the person who answers questions.")


@dataclass(frozen=True)
class Entered:
    """Who has come in. None for the agent: the person."""

    agent: str | None


@dataclass(frozen=True)
class Turned:
    """Why somebody was turned away: HTTP status, and a text."""

    status: int
    text: str


def enter(path: str, headers: Sequence[Header], tokens: Tokens, port: int) -> Entered | Turned:
    """Decides who may come in, by the headers alone. Pure.

    Args:
        path: Of the request.
        headers: As ASGI has them: names in lower case.
        tokens: Who may.
        port: On which it came.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    allowed = {f"{host}:{port}" for host in HOSTS}
    if len(hosts) != 1 or hosts[0].lower() not in allowed:
        return Turned(421, "the Host is not this one")
    origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
    if any(origin not in {f"http://{host}" for host in allowed} for origin in origins):
        return Turned(403, "the Origin is not this one")
    shown = [value for name, value in headers if name == b"authorization"]
    kind, _, token = shown[0].partition(b" ") if len(shown) == 1 else (b"", b"", b"")
    found = [name for name, known in tokens.agents.items() if _same(token, known)]
    human = tokens.human is not None and _same(token, tokens.human)
    if kind.lower() != b"bearer" or not (found or human):
        return Turned(401, "a token is needed, and this is none")
    if path == MCP_PATH and found:
        return Entered(found[0])
    if (path == CONFIRM_PATH or path.startswith(f"{CONFIRM_PATH}/")) and human:
        return Entered(None)
    return Turned(403 if path in (MCP_PATH, CONFIRM_PATH) else 404, "that is not for this token")


def _same(shown: bytes, known: str) -> bool:
    return hmac.compare_digest(shown, known.encode())


class Gate:
    """An ASGI application that lets in who may come in.

    Args:
        tokens: Who may.
        port: On which it is served.
        agents: What agents come to; it is told their names.
        questions: What the person comes to.
    """

    def __init__(self, tokens: Tokens, port: int, *, agents: Any = None, questions: Questions | None = None) -> None:
        self._tokens = tokens
        self._port = port
        self._agents = agents
        self._questions = questions

    @property
    def serves_agents(self) -> bool:
        """Whether there is anything for agents."""
        return self._agents is not None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Takes one connection, as ASGI has it."""
        if scope["type"] == "lifespan" and self._agents is not None:
            await self._agents(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            who = enter(scope["path"], scope["headers"], self._tokens, self._port)
            if isinstance(who, Turned):
                challenge = [(b"www-authenticate", b"Bearer")] if who.status == 401 else []
                await _send(send, who.status, {"error": who.text}, challenge)
            elif who.agent is not None:
                await self._agents({**scope, AGENT: who.agent}, receive, send)
            else:
                await self._person(scope, receive, send)

    async def _person(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """The person looks at the questions, or answers one."""
        assert self._questions is not None  # noqa: S101  (else there is no such token)
        call = scope["path"].removeprefix(CONFIRM_PATH).strip("/")
        if scope["method"] == "GET" and not call:
            found = [question.model_dump(mode="json") for question in self._questions.waiting()]
            await _send(send, 200, {"waiting": found})
        elif scope["method"] == "POST" and call:
            try:
                answer = Answer.model_validate_json(await _body(receive))
                self._questions.answer(call, answer.model_copy(update={"by": "a person, by HTTP"}))
            except (ValidationError, ValueError) as error:
                text = str(error) if isinstance(error, Refused) else 'the body is {"allow": true or false, "note": "…"}'
                await _send(send, 400, {"error": text})
            else:
                await _send(send, 200, {"call": call, "allow": answer.allow})
        else:
            await _send(send, 405, {"error": f"GET {CONFIRM_PATH}, or POST {CONFIRM_PATH}/CALL"})


async def _body(receive: Any) -> bytes:
    data = bytearray()
    while True:
        message = await receive()
        data += message.get("body", b"")
        if message["type"] != "http.request" or len(data) > MOST_BODY_BYTES:
            raise ValueError("the body is too long, or was cut off")
        if not message.get("more_body"):
            return bytes(data)


async def _send(send: Any, status: int, document: Mapping[str, Any], headers: Sequence[Header] = ()) -> None:
    body = json.dumps(document).encode()
    kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers]})
    await send({"type": "http.response.body", "body": body})


def tokens_in(file: Path, agents: Sequence[str]) -> Tokens:
    """The tokens of agents, from a file that only its owner can read. What is missing is made and added.

    Raises:
        Refused: If the file is not one of tokens, or others can read it.
    """
    known = _read(file)
    made = {name: known.agents.get(name) or secrets.token_urlsafe(TOKEN_BYTES) for name in agents}
    tokens = known.model_copy(update={"agents": {**known.agents, **made}})
    if tokens != known:
        _write(file, tokens)
    return tokens.model_copy(update={"agents": {name: tokens.agents[name] for name in agents}})


def human_token(file: Path) -> str:
    """The token of the person, from a file that only its owner can read; made if it is not there.

    Raises:
        Refused: If the file is not one of tokens, or others can read it.
    """
    known = _read(file)
    if known.human is not None:
        return known.human
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _write(file, known.model_copy(update={"human": token}))
    return token


def _write(file: Path, tokens: Tokens) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(file, tokens.model_dump_json(indent=1, exclude_defaults=True))


def _read(file: Path) -> Tokens:
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read(1_000_000)
    except FileNotFoundError:
        return Tokens()
    except OSError as error:
        raise Refused([Problem("tokens", f"{file} cannot be read ({error.strerror})", "Name another file")]) from None
    if stat.S_IMODE(mode) & 0o077:
        raise Refused([Problem("tokens", f"others can read {file}", f"Make new ones: rm {file}")])
    try:
        tokens = Tokens.model_validate_json(data)
    except ValidationError:
        raise Refused([Problem("tokens", f"{file} is no file of tokens", "Name another file")]) from None
    every = [*tokens.agents.values(), *([tokens.human] if tokens.human is not None else [])]
    if any(len(token) < SHORTEST_TOKEN for token in every) or len(set(every)) < len(every):
        message = f"a token in {file} has less than {SHORTEST_TOKEN} characters, or is there twice"
        raise Refused([Problem("tokens", message, f"Make new ones: rm {file}")])
    return tokens
