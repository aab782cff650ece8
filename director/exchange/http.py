"""Exchanges over HTTP: Academy's protocol, with the run's token in each request."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from academy.exception import ForbiddenError, UnauthorizedError
from academy.exchange.cloud.client import (
    TRANSIENT_STATUSES,
    HttpExchangeTransport,
    _HttpConnectionInfo,
    _raise_for_status,
)
from academy.exchange.mailbox_status import MailboxStatus
from academy.identifier import EntityId
from aiohttp import ClientResponse, ClientTimeout

from director.exchange.errors import ExchangeError
from director.exchange.telling import Meanings, Told, told
from director.spec import ExchangeSpec

CONNECT_S = 5.0
REQUEST_S = 15.0
# The server says every 15 s that it is there.
SILENCE_S = 45.0
# Where nothing stands between, a listen may be long. Elsewhere, what carries it may cut it after a minute.
LISTEN_S, OWN_LISTEN_S = 55.0, 3600.0
AGAIN_MS = 20.0
ABSENT_STATUSES = (404, 405, 501)
REFUSED_STATUSES = (401, 403)


TRY_HTTP = "Correct the URL: https:// is for exchanges that have a certificate, http:// for the others"
NOT_AN_EXCHANGE = Told("what answers at {url} is not an exchange ({error})", "Correct the URL, port and path included")
START_IT = (
    "Start it there with `director exchange`, or the tunnel that leads to it, or correct the URL; "
    "a firewall may be in the way too"
)
TOKEN_REFUSED = Told(
    "the exchange at {url} refused the token",
    "Give the secret that the exchange was started with: --exchange-secret FILE or DIRECTOR_EXCHANGE_SECRET",
)

# The first that fits is taken, so the special stand before the general.
MEANINGS: Meanings = (
    (UnauthorizedError, TOKEN_REFUSED),
    (
        ForbiddenError,
        Told(
            "a mailbox at {url} belongs to another run",
            "Name the run that it was made for",
        ),
    ),
    (
        aiohttp.ClientHttpProxyError,
        Told(
            "the proxy on the way to {url} refused ({error})",
            "Correct the proxy's settings, or name {host} in NO_PROXY",
        ),
    ),
    (
        aiohttp.ClientProxyConnectionError,
        Told(
            "the proxy on the way to {url} cannot be reached ({error})", "Correct it, or name {host} in NO_PROXY", True
        ),
    ),
    (
        aiohttp.ClientConnectorCertificateError,
        Told(
            "the certificate of {url} is not trusted ({error})",
            "Name the file of the authority that signed it in SSL_CERT_FILE, or correct the URL",
        ),
    ),
    (aiohttp.ClientConnectorSSLError, Told("{url} does not speak TLS ({error})", TRY_HTTP)),
    (aiohttp.ClientSSLError, Told("{url} does not speak TLS ({error})", TRY_HTTP)),
    (ssl.SSLError, Told("{url} does not speak TLS ({error})", TRY_HTTP)),
    (
        aiohttp.ClientConnectorDNSError,
        Told("no machine is known as {host} ({error})", "Correct the exchange's URL, or the name service", True),
    ),
    (aiohttp.ClientConnectorError, Told("nobody listens at {url} ({error})", START_IT, True)),
    (TimeoutError, Told("{url} does not answer in time", START_IT, True)),
    (aiohttp.ClientConnectionError, Told("the exchange at {url} closed the connection", START_IT, True)),
    (aiohttp.ClientPayloadError, Told("the exchange at {url} closed the connection", START_IT, True)),
    (aiohttp.ClientError, NOT_AN_EXCHANGE),
    (OSError, Told("{url} cannot be reached ({error})", START_IT, True)),
)
TOO_LARGE = Told("the exchange at {url} takes no message of that size", "Send fewer Requests at once")
FAILING = Told("the exchange at {url} fails ({error})", "Look into its log, and into that of a proxy before it", True)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to the machine that it is used on. Pure."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class HttpWire(HttpExchangeTransport):
    """Reaches an exchange over HTTP.

    A loopback address is never looked for behind a proxy. Redirects are not followed: the token would go with them.
    """

    def __init__(self, spec: ExchangeSpec, mailbox_id: EntityId) -> None:
        self.spec = spec
        self.on_contact: Callable[[], None] = lambda: None
        self._token = spec.token.get_secret_value() if spec.token is not None else None
        info = _HttpConnectionInfo(
            url=spec.url.rstrip("/"),
            additional_headers={},
            request_timeout_s=LISTEN_S if spec.host is None else OWN_LISTEN_S,
            client_timeout=ClientTimeout(total=REQUEST_S, sock_connect=CONNECT_S),
        )
        super().__init__(mailbox_id, self.create_session(info), info, None)
        self._retry_time_ms = AGAIN_MS
        self._while_listening = ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)

    @classmethod
    def create_session(cls, connection_info: _HttpConnectionInfo) -> aiohttp.ClientSession:
        """Makes a session; a proxy is asked only where the way leads off this machine."""
        return aiohttp.ClientSession(
            timeout=connection_info.client_timeout or ClientTimeout(),
            trust_env=not is_loopback(connection_info.url),
        )

    @contextlib.asynccontextmanager
    async def _request_with_retry_and_refresh(
        self, method: str, url: str, **kwargs: Any
    ) -> AsyncGenerator[ClientResponse]:
        if url == self._listen_url:
            kwargs["timeout"] = self._while_listening
        headers = kwargs.pop("headers", {})
        for again in (True, False):
            authorization = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
            async with self._session.request(
                method, url, headers={**headers, **authorization}, allow_redirects=False, **kwargs
            ) as response:
                if again and response.status == 403 and await self._renew():
                    continue
                self._look_at(response)
                yield response
                return

    def _look_at(self, response: ClientResponse) -> None:
        if 300 <= response.status < 400:
            where = response.headers.get("Location", "somewhere else")
            raise ExchangeError(f"{self.spec.url} sends callers on to {where}", "Give the exchange's own URL")
        if response.status < 500 and response.status not in REFUSED_STATUSES:
            self.on_contact()

    async def _renew(self) -> bool:
        """Gets a new token, if there is a way; says whether it did."""
        return False

    async def make_mailbox(self, uid: EntityId, classes: str) -> None:
        """See `Wire.make_mailbox`."""
        body = {"mailbox": uid.model_dump_json(), **({"agent": classes} if classes else {})}
        async with self._request_with_retry_and_refresh("post", self._mailbox_url, json=body) as response:
            if response.status in ABSENT_STATUSES:
                raise NOT_AN_EXCHANGE.error(self.spec.url, f"{response.status} {response.reason}")
            _raise_for_status(response, self.mailbox_id, uid)

    async def state(self, uid: EntityId) -> MailboxStatus:
        """See `Wire.state`."""
        body = {"mailbox": uid.model_dump_json()}
        async with self._request_with_retry_and_refresh("get", self._mailbox_url, json=body) as response:
            if response.status in ABSENT_STATUSES:
                raise NOT_AN_EXCHANGE.error(self.spec.url, f"{response.status} {response.reason}")
            _raise_for_status(response, self.mailbox_id, uid)
            text = await response.text()
        try:
            return MailboxStatus(json.loads(text)["status"])
        except (ValueError, LookupError, TypeError):
            raise NOT_AN_EXCHANGE.error(self.spec.url, "it answers in another way") from None

    def explain(self, error: Exception) -> ExchangeError | None:
        """See `Wire.explain`."""
        if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
            return self._of_status(error).error(self.spec.url, f"{error.status} {error.message}")
        return told(self.spec.url, error, MEANINGS)

    @staticmethod
    def _of_status(error: aiohttp.ClientResponseError) -> Told:
        if error.status in TRANSIENT_STATUSES:
            return FAILING
        return TOO_LARGE if error.status == 413 else NOT_AN_EXCHANGE
