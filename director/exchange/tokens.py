"""Who may use an exchange: tokens, and how a server looks at them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from academy.exception import UnauthorizedError
from academy.exchange.cloud.client_info import ClientInfo
from pydantic import SecretStr

SECRET_BYTES = 32
SHORTEST_SECRET = 32
RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOBODY = "-"


def new_secret() -> SecretStr:
    """A secret that nobody can guess."""
    return SecretStr(secrets.token_urlsafe(SECRET_BYTES))


def run_token(secret: SecretStr, run_id: str) -> SecretStr:
    """What a run's client and Directors show to an exchange, so that they need not know its secret. Pure.

    It is the run's id and an HMAC-SHA256 of it under the secret: it opens this run's mailboxes and no others.

    Raises:
        ValueError: If the id is not one.
    """
    if not RUN_ID.fullmatch(run_id):
        raise ValueError(f"not a run id: {run_id!r} (letters, digits, '_' and '-', at most 64)")
    mark = hmac.new(secret.get_secret_value().encode(), run_id.encode(), hashlib.sha256).hexdigest()
    return SecretStr(f"{run_id}.{mark}")


def run_of(secret: SecretStr, token: str) -> str | None:
    """The run whose token this is; None if it is nobody's. Pure."""
    run_id = token.partition(".")[0]
    known = RUN_ID.fullmatch(run_id) is not None
    expected = run_token(secret, run_id if known else _NOBODY).get_secret_value()
    return run_id if hmac.compare_digest(token.encode(), expected.encode()) and known else None


def bearer(headers: Mapping[str, str]) -> str:
    """The token that came with a request.

    Raises:
        UnauthorizedError: If there is none.
    """
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthorizedError
    return token


class OneToken:
    """Lets in whoever sends one certain token."""

    def __init__(self, token: SecretStr) -> None:
        self._expected = token.get_secret_value().encode()

    async def authenticate_user(self, headers: Mapping[str, str]) -> ClientInfo:
        """Checks the token.

        Raises:
            UnauthorizedError: If it is missing or wrong.
        """
        if not hmac.compare_digest(bearer(headers).encode(), self._expected):
            raise UnauthorizedError
        return ClientInfo(client_id="", group_memberships=set())


class RunTokens:
    """Lets in whoever sends a run's token, and takes them for that run: the exchange keeps runs apart."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    async def authenticate_user(self, headers: Mapping[str, str]) -> ClientInfo:
        """Checks the token.

        Raises:
            UnauthorizedError: If it is missing or wrong.
        """
        run_id = run_of(self._secret, bearer(headers))
        if run_id is None:
            raise UnauthorizedError
        return ClientInfo(client_id=run_id, group_memberships=set())
