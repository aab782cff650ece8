"""Academy's hosted exchange: HTTP with an access token of Globus Auth."""

from __future__ import annotations

import asyncio
import time

import globus_sdk
from academy.exception import ForbiddenError, UnauthorizedError
from academy.exchange.cloud.client import DEFAULT_EXCHANGE_URL
from academy.exchange.cloud.login import (
    ACADEMY_GLOBUS_CLIENT_ID,
    get_client_credentials_from_env,
    get_token_storage,
    get_user_app,
    is_client_login,
)
from academy.exchange.cloud.scopes import AcademyExchangeScopes
from academy.identifier import EntityId
from globus_sdk.globus_app import ClientApp, GlobusApp, GlobusAppConfig, UserApp
from globus_sdk.token_storage import TokenValidationError
from globus_sdk.transport import RetryConfig
from pydantic import SecretStr

from director.exchange.errors import ExchangeError
from director.exchange.http import HttpWire
from director.exchange.telling import Meanings, Told, told
from director.spec import ExchangeSpec

HOSTED_URL = DEFAULT_EXCHANGE_URL
BETWEEN_RENEWALS_S = 60.0
APP = "academy"
RETRIES = 1
LOG_IN = (
    "Log in with `director exchange --login` on the machine that says so; where nobody can log in by hand, set "
    "ACADEMY_GLOBUS_CLIENT_ID and ACADEMY_GLOBUS_CLIENT_SECRET"
)
REFUSED: Meanings = (
    (UnauthorizedError, Told("the exchange at {url} wants a login", LOG_IN)),
    (
        ForbiddenError,
        Told("the login for {url} has expired, or is another's than the one that made the mailbox", LOG_IN),
    ),
)


def log_in(*, by_hand: bool = False, instead_of: str | None = None) -> SecretStr:
    """Gets an access token for the hosted exchange.

    A login that was made before is used, and renewed if it can be. Academy keeps it, in ``ACADEMY_HOME``.

    Args:
        by_hand: Ask somebody to open a page in a browser and to type the code that it shows. Else nobody is asked.
        instead_of: A token that was refused: it is renewed, even if it should still be good.

    Raises:
        ExchangeError: If there is no login, or Globus Auth refuses it or cannot be reached.
    """
    app = _client_app() if is_client_login() else get_user_app() if by_hand else _silent_user_app()
    try:
        app.add_scope_requirements({AcademyExchangeScopes.resource_server: [AcademyExchangeScopes.academy_exchange]})
        if by_hand and isinstance(app, UserApp):
            app.login(force=True)  # what is kept may be another's, or refused
        authorizer = app.get_authorizer(AcademyExchangeScopes.resource_server)
        header = authorizer.get_authorization_header()
        if header == f"Bearer {instead_of}" and authorizer.handle_missing_authorization():
            header = authorizer.get_authorization_header()
    except TokenValidationError as error:
        raise ExchangeError("there is no login for the hosted exchange on this machine", LOG_IN) from error
    except globus_sdk.NetworkError as error:
        raise ExchangeError(f"Globus Auth cannot be reached ({error})", "Try again later", passing=True) from error
    except globus_sdk.GlobusError as error:
        raise ExchangeError(f"Globus Auth refused the login ({error})", LOG_IN) from error
    if header is None:
        raise ExchangeError("there is no login for the hosted exchange on this machine", LOG_IN)
    return SecretStr(header.removeprefix("Bearer "))


def _client_app() -> GlobusApp:
    """As Academy's, but it does not ask again and again where Globus Auth does not answer."""
    client_id, secret = get_client_credentials_from_env()
    client = globus_sdk.ConfidentialAppAuthClient(client_id, secret, retry_config=RetryConfig(max_retries=RETRIES))
    return ClientApp(APP, login_client=client, config=GlobusAppConfig(token_storage=get_token_storage()))


def _silent_user_app() -> GlobusApp:
    """As Academy's, but it never asks anybody either: a Director's standard input is its lifeline."""
    client = globus_sdk.NativeAppAuthClient(
        ACADEMY_GLOBUS_CLIENT_ID, app_name=APP, retry_config=RetryConfig(max_retries=RETRIES)
    )
    config = GlobusAppConfig(
        token_storage=get_token_storage(), request_refresh_tokens=True, token_validation_error_handler=None
    )
    return UserApp(APP, login_client=client, config=config)


class HostedWire(HttpWire):
    """Reaches the hosted exchange. When that refuses the token, a login on this machine takes its place, if any."""

    def __init__(self, spec: ExchangeSpec, mailbox_id: EntityId) -> None:
        super().__init__(spec, mailbox_id)
        self._renewing = asyncio.Lock()
        self._renewed_at: float | None = None

    async def _renew(self) -> bool:
        before = self._token
        async with self._renewing:
            if self._token != before:
                return True
            if self._renewed_at is not None and time.monotonic() - self._renewed_at < BETWEEN_RENEWALS_S:
                return False
            self._renewed_at = time.monotonic()
            try:
                self._token = (await asyncio.to_thread(log_in, instead_of=before)).get_secret_value()
            except ExchangeError:
                return False
            return self._token != before

    def explain(self, error: Exception) -> ExchangeError | None:
        """See `Wire.explain`."""
        return told(self.spec.url, error, REFUSED) or super().explain(error)
