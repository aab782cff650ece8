"""Which exchange a user has chosen, and what a run is told of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from director.door import Problem, Refused
from director.exchange.hosted import HOSTED_URL, log_in
from director.exchange.http import is_loopback
from director.exchange.tokens import SHORTEST_SECRET, new_secret, run_token
from director.spec import ExchangeSpec

HOSTED = "hosted"
SECRET_VARIABLE = "DIRECTOR_EXCHANGE_SECRET"  # noqa: S105  (its name)
LARGEST_SECRET_FILE_BYTES = 4096
KINDS: dict[str, Literal["http", "redis"]] = {"http": "http", "https": "http", "redis": "redis", "rediss": "redis"}
HOW = "Give http://HOST:PORT or https://HOST of `director exchange`, redis://HOST:PORT, or the word hosted"
GIVE_SECRET = f"Give the file that it was started with (--exchange-secret FILE), or set {SECRET_VARIABLE}"


@dataclass(frozen=True)
class ExchangeChoice:
    """Which exchange a user has chosen.

    Attributes:
        kind: Its kind; ``loopback``: each run has its own, in the client's process.
        url: Where it is; None for ``loopback``.
        secret: The secret of an exchange over HTTP, or Redis's password. A run's token is made from it.
        note: What a user should know about this choice; None if there is nothing.
    """

    kind: Literal["loopback", "http", "redis", "hosted"]
    url: str | None = None
    secret: SecretStr | None = None
    note: str | None = None


def choose(url: str | None, secret_file: Path | None, environment: Mapping[str, str]) -> ExchangeChoice:
    """Reads what a user gave.

    Args:
        url: ``http(s)://…``, ``redis(s)://…``, or ``hosted``; None: each run has an exchange of its own.
        secret_file: File with the exchange's secret, which nobody else may read.
        environment: Where ``DIRECTOR_EXCHANGE_SECRET`` is looked for, if there is no file.

    Raises:
        Refused: If it is not acceptable.
    """
    if url is None or url == HOSTED:
        if secret_file is not None:
            message = "a secret was given, and this exchange takes none"
            raise Refused(
                [Problem("exchange-secret", message, "Leave it out, or name the exchange with --exchange URL")]
            )
        return ExchangeChoice("loopback") if url is None else ExchangeChoice("hosted", HOSTED_URL)
    kind, parts = _parsed(url)
    given = environment.get(SECRET_VARIABLE, "").strip()
    secret = read_secret(secret_file) if secret_file is not None else SecretStr(given) if given else None
    if kind == "redis":
        return ExchangeChoice(kind, url, secret, _redis_note(parts))
    if secret is None:
        raise Refused([Problem("exchange", f"the secret of {url} is not known", GIVE_SECRET)])
    _long_enough(secret, "exchange-secret")
    return ExchangeChoice(kind, url.rstrip("/"), secret, _http_note(parts))


def settle(choice: ExchangeChoice, run_id: str) -> ExchangeSpec:
    """What a run's Directors and clients are told of the exchange.

    Args:
        choice: What the user has chosen; not ``loopback``, which makes its own: `LoopbackExchange`.
        run_id: The run's name.

    Raises:
        ExchangeError: If it is the hosted exchange, and there is no login on this machine.
        ValueError: If the choice is ``loopback``.
    """
    if choice.kind == "loopback" or choice.url is None:
        raise ValueError("a loopback exchange makes its own spec, see LoopbackExchange")
    if choice.kind == "hosted":
        token: SecretStr | None = log_in()
    elif choice.kind == "http" and choice.secret is not None:
        token = run_token(choice.secret, run_id)
    else:
        token = choice.secret
    return ExchangeSpec(kind=choice.kind, url=choice.url, token=token)


def read_secret(path: Path, where: str = "exchange-secret") -> SecretStr:
    """Reads a secret.

    Args:
        path: The file.
        where: The option that names it.

    Raises:
        Refused: If others can read it too, or it cannot be read, or is no secret.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(LARGEST_SECRET_FILE_BYTES + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})"
        raise Refused([Problem(where, message, "Name a file that holds the secret")]) from None
    if mode & 0o077:
        message = f"others can read or write {path} (mode {stat.S_IMODE(mode):04o})"
        raise Refused([Problem(where, message, f"chmod 600 {path}, and change the secret if they may have")])
    try:
        secret = content.decode("ascii").strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret.isprintable() or not secret or " " in secret or len(content) > LARGEST_SECRET_FILE_BYTES:
        message = f"{path} holds no secret"
        raise Refused([Problem(where, message, "It should be one word, on one line")])
    return SecretStr(secret)


def read_or_make_secret(path: Path, where: str = "secret-file") -> SecretStr:
    """Reads the secret of an exchange; where there is no such file, makes one that only its owner can read.

    Args:
        path: The file.
        where: The option that names it.

    Raises:
        Refused: If it cannot be read or made.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _long_enough(read_secret(path, where), where)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror})"
        raise Refused([Problem(where, message, "Name a file in a folder that you may write to")]) from None
    secret = new_secret()
    with os.fdopen(file, "w", encoding="ascii") as stream:
        stream.write(secret.get_secret_value() + "\n")
    return secret


def _long_enough(secret: SecretStr, where: str) -> SecretStr:
    """Whoever has a run's token can try secrets until one fits, so it must be one that nobody can guess."""
    if len(secret.get_secret_value()) < SHORTEST_SECRET:
        message = f"the secret has fewer than {SHORTEST_SECRET} characters"
        raise Refused([Problem(where, message, "Let `director exchange --secret-file FILE` make one, in a new file")])
    return secret


def redis_url(url: str, where: str) -> str:
    """Checks the URL of a Redis server.

    Args:
        url: ``redis(s)://[USER@]HOST[:PORT][/DATABASE]``.
        where: The option that names it.

    Raises:
        Refused: If it is not one, or holds a password.
    """
    kind, _ = _parsed(url, where)
    if kind != "redis":
        raise Refused([Problem(where, f"{url!r} names no Redis server", "Give redis://HOST:PORT")])
    return url


def _parsed(url: str, where: str = "exchange") -> tuple[Literal["http", "redis"], SplitResult]:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Refused([Problem(where, f"{url!r} is not a URL ({error})", HOW)]) from None
    if parts.scheme not in KINDS or not host or url != url.strip() or not url.isprintable():
        raise Refused([Problem(where, f"{url!r} names no exchange", HOW)])
    if parts.password is not None or (parts.username is not None and KINDS[parts.scheme] == "http"):
        shown = url.replace(parts.netloc, f"…@{parts.netloc.rpartition('@')[2]}")
        message = f"{shown} holds a password, which others can see in the list of processes"
        raise Refused([Problem(where, message, f"Leave it out of the URL, and put it into a file. {GIVE_SECRET}")])
    if parts.query or parts.fragment:
        raise Refused([Problem(where, f"{url!r} has a part after {'?' if parts.query else '#'}", "Leave it out")])
    database = parts.path.strip("/")
    if KINDS[parts.scheme] == "redis" and database and not (database.isascii() and database.isdigit()):
        message = f"{database!r} is no number of a Redis database"
        raise Refused([Problem(where, message, "Give redis://HOST:PORT/NUMBER, or no number")])
    return KINDS[parts.scheme], parts


def _http_note(parts: SplitResult) -> str | None:
    if parts.scheme == "https" or is_loopback(parts.geturl()):
        return None
    return (
        f"http:// is not encrypted: whoever listens in on the network before {parts.hostname} learns the run's token "
        "and can call its Directors. Use https:// with a proxy before the exchange, or a tunnel"
    )


def _redis_note(parts: SplitResult) -> str | None:
    apart = "whoever has Redis's password can read and change what all runs send"
    if parts.scheme == "rediss" or is_loopback(parts.geturl()):
        return apart
    return f"{apart}, and redis:// is not encrypted: use rediss:// or a tunnel"
