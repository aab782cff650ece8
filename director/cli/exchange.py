"""``director exchange``: an exchange of one's own, where clients and Directors of many runs meet."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from director.cli.console import emit, endings, err_console
from director.door import Problem, Refused

DEFAULT_PORT = 8700
BACKLOG = 1024


def exchange(
    secret_file: Annotated[
        Path | None,
        typer.Option(help="File with the exchange's secret; made, readable by you only, if it is not there."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any that is free.")] = DEFAULT_PORT,
    plain_http: Annotated[
        bool,
        typer.Option("--plain-http", help="Listen at an address that others reach, although nothing is encrypted."),
    ] = False,
    redis: Annotated[
        str | None, typer.Option(help="Keep mailboxes in this Redis server, across restarts: redis://HOST:PORT.")
    ] = None,
    redis_password_file: Annotated[Path | None, typer.Option(help="File with the password of Redis.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="File to write when the exchange answers.")] = None,
    log_in: Annotated[bool, typer.Option("--login", help="Log in to the hosted exchange, and serve none.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON when the exchange answers.")] = False,
) -> None:
    """Serve an exchange until it is ended, or log in to the hosted one."""
    with endings(as_json, refused="refused; nothing was started"):
        if log_in:
            _log_in(as_json)
            return
        _check_host(host, plain_http)
        if secret_file is None:
            hint = "Give --secret-file FILE; it is made if it is not there"
            raise Refused([Problem("secret-file", "an exchange needs a secret", hint)])
        from director.exchange.choosing import read_or_make_secret, read_secret, redis_url
        from director.exchange.server import redis_backend

        if redis is None and redis_password_file is not None:
            raise Refused([Problem("redis-password-file", "there is no --redis", "Leave it out, or give --redis URL")])
        password = read_secret(redis_password_file, "redis-password-file") if redis_password_file is not None else None
        backend = redis_backend(redis_url(redis, "redis"), password) if redis is not None else None
        listener = _listener(host, port)
        secret = read_or_make_secret(secret_file, "secret-file")
        document = {
            "url": f"http://{_name_of(host)}:{listener.getsockname()[1]}",
            "pid": os.getpid(),
            "secret_file": str(secret_file.resolve()),
            "mailboxes": "redis" if redis is not None else "memory",
        }
        asyncio.run(_serve(listener, secret, backend, document, ready_file, as_json))


def _log_in(as_json: bool) -> None:
    from director.exchange.hosted import HOSTED_URL, log_in

    log_in(by_hand=True)
    if as_json:
        emit({"url": HOSTED_URL, "logged_in": True})
    else:
        _say(f"logged in for {HOSTED_URL}; use it with --exchange hosted")


def _check_host(host: str, plain_http: bool) -> None:
    """Refuses an address that others reach, unless the user has said that this is meant."""
    try:
        own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = host == "localhost"
    if own or plain_http:
        return
    message = (
        f"at {host} others reach the exchange, and it does not encrypt: "
        "whoever listens in on the network learns the tokens of runs and can call their Directors"
    )
    hint = (
        "Listen at 127.0.0.1, and reach it with an ssh tunnel or a proxy that speaks https; "
        "or say --plain-http if the network is yours"
    )
    raise Refused([Problem("host", message, hint)])


def _name_of(host: str) -> str:
    """How others name an address in a URL."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = "port" if error.errno is not None and "in use" in str(error) else "host"
        hint = "Name another with --port; with 0 a free one is taken" if where == "port" else "Name one of this machine"
        raise Refused([Problem(where, f"cannot listen at {host}:{port} ({error.strerror})", hint)]) from None


async def _serve(
    listener: socket.socket, secret: Any, backend: Any, document: dict[str, Any], ready_file: Path | None, as_json: bool
) -> None:
    from director.exchange.server import begin, check_backend, exchange_app
    from director.exchange.tokens import RunTokens

    asked = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, asked.set)
    await check_backend(backend)
    served = await begin(exchange_app(RunTokens(secret), backend), listener)
    try:
        _ready(document, ready_file, as_json)
        await asked.wait()
    finally:
        await served.cleanup()
        _over(ready_file)


def _ready(document: dict[str, Any], ready_file: Path | None, as_json: bool) -> None:
    if ready_file is not None:
        partial = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        partial.write_text(json.dumps(document) + "\n", encoding="utf-8")
        partial.replace(ready_file)
    if as_json:
        emit(document)
        return
    _say(f"the exchange answers at {document['url']}")
    _say(f"use it with: --exchange {document['url']} --exchange-secret {document['secret_file']}")
    if document["mailboxes"] == "memory":
        _say("mailboxes are in memory: when this ends, calls on their way are lost, and made again by their callers")


def _over(ready_file: Path | None) -> None:
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)


def _say(text: str) -> None:
    err_console().print(text, soft_wrap=True, markup=False)
