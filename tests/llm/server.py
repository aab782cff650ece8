"""A loopback server with the API of OpenAI's chat completions, whose replies are computed from what it is asked.

It stands in for a language model in tests, so that the real clients run unmodified. What it proves is the plumbing:
that the right words are sent, that replies of every kind are handled, and that what runs is what was asked for. It
proves nothing of a model's judgement.

In a test (fixture ``llm`` of tests/conftest.py; all are ended with the test)::

    def test_it(llm):
        server = llm(echo, faults=[Fault("rate_limit", seconds=1), Fault("slow", at=3, seconds=5)], key="secret")
        ... ChatOpenAI(base_url=server.base_url, model="any", api_key="secret") ...
        assert server.log[0].chat.temperature == 0.3
        assert server.most_at_once == 3

As a process of its own (line 1 of its standard output is its base URL; ends at SIGTERM, or with its standard input
where ``--with-stdin`` is given)::

    python -m tests.llm.server --port 8123 --mind echo
    python -m tests.llm.server --mind tests.llm.minds_reasoner:reasoner --log log.jsonl --faults faults.json

- A *mind* (`tests.llm.minds`) is a pure function: `tests.llm.talk.Chat` (the request, with handy properties) → `Answer`
  (text, tool calls). It is called in a thread of its own. One that raises gives a 500 with the error's text, and the
  test sees it in ``server.errors``.
- *Faults* (`tests.llm.talk.Fault`) say on which requests what goes wrong. A prompt injection inside a tool's result is
  planted by the test (`minds.INJECTION`), and `minds.gullible` does what it says.
- The *log* holds every request to ``/v1/chat/completions``, in the order of arrival, with its status, its reply, if
  its key was right, and when it began and ended. As a process, ``--log FILE`` gets one line of JSON for each.
- Like a real server it refuses a conversation in which a tool call is not answered (400), a missing or wrong key (401),
  and a model that it does not have, where ``models`` is given (404).
- Tokens are counted as `tests.llm.wire.tokens_of` says; ``stream: true`` is answered word by word.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tests.llm.faults import IN_THE_ANSWER, Script, spoil
from tests.llm.minds import find
from tests.llm.talk import Answer, Chat, Fault, Mind
from tests.llm.wire import chunks, completion, refused


@dataclass
class Logged:
    """One request, and what became of it.

    Attributes:
        number: Which, from 0.
        body: As it came.
        authorized: Whether its key was right, or none is needed.
        began_s: When it came, in s of a clock that only goes forward.
        ended_s: When its answer was ready, or it was given up by the client.
        status: HTTP status of the answer; 0: none was given.
        answer: What was answered; None: nothing.
        fault: What went wrong on purpose.
    """

    number: int
    body: Mapping[str, Any]
    authorized: bool
    began_s: float
    ended_s: float | None = None
    status: int = 0
    answer: Answer | None = None
    fault: str | None = None

    @property
    def chat(self) -> Chat:
        """The request."""
        return Chat(self.body)


@dataclass(frozen=True)
class Settings:
    """How a server behaves; see the top of this file.

    Attributes:
        mind: Makes the replies.
        faults: What goes wrong, and when.
        key: The key that clients must show; None: any.
        models: Which models it has; None: every one.
        delay_s: How long each reply takes at least, in s.
        log_file: Where the log is written to beside.
    """

    mind: Mind
    faults: Sequence[Fault] = ()
    key: str | None = None
    models: Sequence[str] | None = None
    delay_s: float = 0.0
    log_file: Path | None = None


@dataclass
class Desk:
    """Answers requests, in one event loop."""

    settings: Settings
    log: list[Logged] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    now: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._script = Script(self.settings.faults)

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/health", self.health)
        return app

    async def health(self, _: web.Request) -> web.Response:
        """Says that it is there."""
        return web.Response()

    async def models(self, request: web.Request) -> web.Response:
        """Which models there are."""
        if not self._authorized(request):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        names = self.settings.models or ["any"]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in names]
        return web.json_response({"object": "list", "data": data})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answers one request, and logs it."""
        try:
            body = json.loads(await request.read())
        except ValueError:
            return _error(400, "We could not parse the JSON body of your request.", "invalid_request_error")
        logged = Logged(len(self.log), body, self._authorized(request), time.monotonic())
        self.log.append(logged)
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            response = await self._answer(request, logged)
            logged.status = response.status
            return response
        finally:
            self.now -= 1
            logged.ended_s = time.monotonic()
            self._write(logged)

    async def _answer(self, request: web.Request, logged: Logged) -> web.StreamResponse:
        if not logged.authorized:
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        if problem := refused(logged.body):
            return _error(400, problem, "invalid_request_error")
        chat = logged.chat
        if self.settings.models is not None and chat.model not in self.settings.models:
            return _error(404, f"The model `{chat.model}` does not exist.", "model_not_found")
        fault = self._script.next(chat)
        logged.fault = fault.kind if fault else None
        await asyncio.sleep(self.settings.delay_s + (fault.seconds if fault and fault.kind == "slow" else 0.0))
        if fault and (response := _broken(fault)):
            return response
        if fault and fault.kind == "dropped":
            return _drop(request)
        try:
            answer = await asyncio.to_thread(self.settings.mind, chat)
        except Exception as error:  # the test is to see it, and so is the client
            self.errors.append(error)
            return _error(500, f"the mind failed: {error!r}", "mind")
        if fault and fault.kind in IN_THE_ANSWER:
            answer = spoil(answer, fault)
        logged.answer = answer
        whole = completion(chat, answer, logged.number)
        if fault and fault.kind == "cut":
            return await _cut(request, whole)
        if logged.body.get("stream"):
            usage = bool((logged.body.get("stream_options") or {}).get("include_usage"))
            return await _streamed(request, whole, usage)
        return web.json_response(whole)

    def _authorized(self, request: web.Request) -> bool:
        key = self.settings.key
        return key is None or request.headers.get("Authorization") == f"Bearer {key}"

    def _write(self, logged: Logged) -> None:
        if self.settings.log_file is not None:
            with self.settings.log_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(logged)) + "\n")


def _broken(fault: Fault) -> web.Response | None:
    match fault.kind:
        case "rate_limit":
            headers = {"Retry-After": f"{fault.seconds:g}"} if fault.seconds else {}
            return _error(429, "Rate limit reached for requests.", "rate_limit_exceeded", headers)
        case "server_error":
            return _error(500, "The server had an error while processing your request.", "server_error")
        case "bad_gateway":
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        case "nonsense":
            return web.json_response({"object": "nothing", "choices": []})
    return None


def _error(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> web.Response:
    document = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return web.json_response(document, status=status, headers=headers)


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _cut(request: web.Request, whole: Mapping[str, Any]) -> web.StreamResponse:
    text = json.dumps(whole).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(text))})
    await response.prepare(request)
    await response.write(text[: len(text) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _streamed(request: web.Request, whole: Mapping[str, Any], usage: bool) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for chunk in chunks(whole, usage=usage):
        await response.write(chunk)
    await response.write_eof()
    return response


class LLMServer:
    """A server in a thread of this process; see the top of this file.

    Args:
        settings: How it behaves.
        port: Where it listens on the loopback; 0: anywhere.

    Attributes:
        base_url: What clients are given.
    """

    def __init__(self, settings: Settings, port: int = 0) -> None:
        self._desk = Desk(settings)
        self._loop = asyncio.new_event_loop()
        self._runner = web.AppRunner(self._desk.app(), access_log=None, shutdown_timeout=1.0)
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        try:
            self.base_url: str = asyncio.run_coroutine_threadsafe(self._start(port), self._loop).result(30)
        except BaseException:
            self._end()
            raise

    @property
    def log(self) -> list[Logged]:
        """What was asked, in the order of arrival."""
        return list(self._desk.log)

    @property
    def chats(self) -> list[Chat]:
        """The requests of the log."""
        return [logged.chat for logged in self._desk.log]

    @property
    def errors(self) -> list[BaseException]:
        """What minds raised."""
        return list(self._desk.errors)

    @property
    def most_at_once(self) -> int:
        """How many requests were being answered at the same time, at most."""
        return self._desk.most_at_once

    async def _start(self, port: int) -> str:
        return await serve(self._runner, port)

    def close(self) -> None:
        """Ends it. May be called twice."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
            self._end()

    async def _stop(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # those that are slow on purpose
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def serve(runner: web.AppRunner, port: int, host: str = "127.0.0.1") -> str:
    """Begins to listen, and gives the base URL."""
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    actual = runner.addresses[0][1]
    return f"http://{host}:{actual}/v1"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A loopback language model whose replies are computed.")
    parser.add_argument("--host", default="127.0.0.1", help="Address that it listens on.")
    parser.add_argument("--port", type=int, default=0, help="0: anywhere.")
    parser.add_argument("--mind", default="echo", help="A name of tests.llm.minds, or module:function.")
    parser.add_argument("--key-file", type=Path, help="File with the key that clients must show.")
    parser.add_argument("--model", action="append", help="A model that it has; none: every one.")
    parser.add_argument("--delay-s", type=float, default=0.0, help="How long each reply takes at least, in s.")
    parser.add_argument("--faults", type=Path, help="JSON file: a list of objects with the fields of Fault.")
    parser.add_argument("--log", type=Path, help="File that gets one line of JSON for each request.")
    parser.add_argument("--with-stdin", action="store_true", help="End when standard input does.")
    return parser.parse_args(arguments)


async def _main(options: argparse.Namespace) -> None:
    faults = [Fault(**fault) for fault in json.loads(options.faults.read_text())] if options.faults else []
    key = options.key_file.read_text().strip() if options.key_file else None
    settings = Settings(find(options.mind), faults, key, options.model, options.delay_s, options.log)
    runner = web.AppRunner(Desk(settings).app(), access_log=None, shutdown_timeout=1.0, handle_signals=True)
    base_url = await serve(runner, options.port, options.host)
    print(base_url, flush=True)  # noqa: T201
    try:
        if options.with_stdin:
            await asyncio.to_thread(sys.stdin.read)
        else:
            await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    try:
        asyncio.run(_main(_options(None)))
    except (KeyboardInterrupt, web.GracefulExit):
        sys.exit(0)
