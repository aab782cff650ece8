"""The hosted exchange: Academy's own application and check of logins, against a stand-in of Globus Auth.

Not shown here: the lookup of a user's groups, whose address is fixed; this Globus Auth gives no token for it.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from director.exchange import ExchangeError, connect, trouble_of
from director.spec import ExchangeSpec
from tests.director.exchanging import director, free_port, link
from tests.helpers import wait_until

SERVER = """
import sys
from academy.exchange.cloud.app import _run
from academy.exchange.cloud.config import ExchangeServingConfig
_run(ExchangeServingConfig.model_validate_json(sys.stdin.read()))
"""

LOGIN = """
import sys
from director.exchange import ExchangeError, log_in
try:
    print(log_in(instead_of=sys.argv[1] if len(sys.argv) > 1 else None).get_secret_value())
except ExchangeError as error:
    print(error)
"""

CALLER = """
import asyncio, sys
from director.exchange import ExchangeError, connect
from director.spec import ExchangeSpec
async def main():
    try:
        client = await connect(ExchangeSpec(kind="hosted", url=sys.argv[1], token=sys.argv[2]))
    except ExchangeError as error:
        print(error)
    else:
        print("connected")
        await client.close()
asyncio.run(main())
"""

KEEP_LOGIN = """
import sys, time
from academy.exchange.cloud.login import get_token_storage
from academy.exchange.cloud.scopes import AcademyExchangeScopes as scopes
from globus_sdk.token_storage import TokenStorageData
get_token_storage().store_token_data_by_resource_server({scopes.resource_server: TokenStorageData(
    resource_server=scopes.resource_server, identity_id="7c0cd5f9-3f1d-4c4f-b8c9-0b3b5b0f2a11",
    scope=str(scopes.academy_exchange), access_token=sys.argv[1], refresh_token="refresh-1",
    expires_at_seconds=int(time.time()) + int(sys.argv[2]), token_type="Bearer")})
"""

EXCHANGE_ID = "ca1e2fbf-4e73-40a6-b2ab-c9458e5fcf99"
IDENTITY = "7c0cd5f9-3f1d-4c4f-b8c9-0b3b5b0f2a11"
CLIENT_ID = "0f9ad1b1-3a54-4f9c-8b3c-5a4e1f0c2d33"


class GlobusAuth:
    """A small Globus Auth: it knows some tokens, and gives new ones to clients with a secret or a refresh token."""

    def __init__(self) -> None:
        self.users = {"good": "ada@example.org", "other": "bob@example.org"}
        self.audience = [EXCHANGE_ID]
        self.granted = []
        self.refuse = False
        self.port = free_port()
        self._key = rsa.generate_private_key(65537, 2048)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/v2/oauth2/token/introspect", self._introspect)
        app.router.add_post("/v2/oauth2/token", self._token)
        app.router.add_get("/.well-known/openid-configuration", self._about)
        app.router.add_get("/jwk.json", self._keys)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _introspect(self, request: web.Request) -> web.Response:
        name, _, secret = base64.b64decode(request.headers["Authorization"].split()[1]).decode().partition(":")
        assert (name, secret) == (EXCHANGE_ID, "exchange-secret")
        user = self.users.get((await request.post())["token"])
        if user is None:
            return web.json_response({"active": False})
        return web.json_response({"active": True, "username": user, "aud": self.audience, "sub": str(uuid.uuid4())})

    async def _about(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": "https://auth.globus.org",
                "jwks_uri": f"http://127.0.0.1:{self.port}/jwk.json",
                "id_token_signing_alg_values_supported": ["RS512"],
            }
        )

    async def _keys(self, _: web.Request) -> web.Response:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return web.json_response({"keys": [key | {"alg": "RS512", "kid": "one", "use": "sig"}]})

    def _who(self, client_id: str) -> str:
        now = int(time.time())
        claims = {"iss": "https://auth.globus.org", "aud": client_id, "sub": IDENTITY, "iat": now, "exp": now + 600}
        return jwt.encode(claims, self._key, algorithm="RS512", headers={"kid": "one"})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.granted.append(form["grant_type"])
        if form["grant_type"].endswith("dependent_token"):
            return web.json_response([])
        if self.refuse:
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.users["new"] = "ada@example.org"
        by_hand = {}
        if form["grant_type"] == "authorization_code":
            if form["code"] != "the-code":
                return web.json_response({"error": "invalid_grant"}, status=400)
            auth = {"resource_server": "auth.globus.org", "scope": "openid", "access_token": "a", "refresh_token": "b"}
            by_hand = {
                "id_token": self._who(form["client_id"]),
                "other_tokens": [auth | {"expires_in": 172800, "token_type": "Bearer"}],
            }
        return web.json_response(
            {
                "access_token": "new",
                "refresh_token": "refresh-2",
                "expires_in": 172800,
                "scope": f"https://auth.globus.org/scopes/{EXCHANGE_ID}/academy_exchange",
                "resource_server": EXCHANGE_ID,
                "token_type": "Bearer",
                "other_tokens": [],
                **by_hand,
            }
        )


@pytest.fixture
def auth():
    made = GlobusAuth()
    yield made
    made.close()


@pytest.fixture
def environment(auth, tmp_path):
    """Of a process whose Globus Auth is the stand-in, and whose logins are kept in a folder of the test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GLOBUS", "ACADEMY"))}
    return kept | {
        "GLOBUS_SDK_SERVICE_URL_AUTH": f"http://127.0.0.1:{auth.port}/",
        "ACADEMY_HOME": str(tmp_path / "academy"),
        "HOME": str(tmp_path),
    }


@pytest.fixture
def url(auth, environment):
    """Academy's exchange, as it is hosted, on loopback."""
    port = free_port()
    login = {"method": "globus", "kwargs": {"client_id": EXCHANGE_ID, "client_secret": "exchange-secret"}}
    login["kwargs"]["token_ttl_s"] = 0
    config = {"host": "127.0.0.1", "port": port, "auth": login}
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, env=environment, text=True)
    process.stdin.write(json.dumps(config))
    process.stdin.close()

    def up():
        assert process.poll() is None
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        return False

    try:
        wait_until(up, 60, "the start of the exchange")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def spec(url, token="good"):  # noqa: S107
    return ExchangeSpec(kind="hosted", url=url, token=SecretStr(token) if token is not None else None)


def said(environment, script, *arguments):
    """What a process of its own prints; nobody sits at its keyboard."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_client_and_director_meet_with_an_access_token(url, tmp_path):
    client = await connect(spec(url))
    async with director(spec(url), tmp_path) as runtime, link(client, runtime.agent_id) as to:
        assert (await to.call("status"))["director"] == 0
        somebody_else = await connect(spec(url, "other"))
        with pytest.raises(ExchangeError, match="another's"):
            await somebody_else.terminate(runtime.agent_id)
        await somebody_else.close()
    await client.close()


@pytest.mark.parametrize("token", ["expired", None])
async def test_without_a_login_that_holds_a_user_is_told_how_to_log_in(url, environment, token):
    begin = time.monotonic()
    if token is None:
        with pytest.raises(ExchangeError, match="wants a login") as caught:
            await connect(spec(url, None))
        told = str(caught.value)
    else:
        told = await asyncio.to_thread(said, environment, CALLER, url, token)
        assert "has expired" in told
    assert "director exchange --login" in told
    assert "ACADEMY_GLOBUS_CLIENT_ID" in told
    assert time.monotonic() - begin < 30


async def test_a_token_that_was_meant_for_another_service_is_refused(url, auth, environment):
    auth.audience = ["somebody-else"]
    assert "director exchange --login" in await asyncio.to_thread(said, environment, CALLER, url, "good")


async def test_an_expired_token_is_replaced_where_a_client_can_log_in_by_itself(url, auth, environment):
    able = environment | {"ACADEMY_GLOBUS_CLIENT_ID": CLIENT_ID, "ACADEMY_GLOBUS_CLIENT_SECRET": "hush"}
    assert await asyncio.to_thread(said, able, CALLER, url, "expired") == "connected"
    assert "client_credentials" in auth.granted


async def test_an_expired_token_is_replaced_where_a_login_is_kept(url, auth, environment):
    await asyncio.to_thread(said, environment, KEEP_LOGIN, "expired", "3600")
    assert await asyncio.to_thread(said, environment, CALLER, url, "expired") == "connected"
    assert "refresh_token" in auth.granted


def test_a_kept_login_is_used_and_renewed_and_nobody_is_asked(auth, environment, tmp_path):
    assert "there is no login" in said(environment, LOGIN)
    said(environment, KEEP_LOGIN, "good", "3600")
    assert said(environment, LOGIN) == "good"
    assert auth.granted == []
    assert said(environment, LOGIN, "good") == "new"
    assert said(environment, LOGIN) == "new"
    said(environment, KEEP_LOGIN, "old", "-10")
    assert said(environment, LOGIN) == "new"
    auth.refuse = True
    said(environment, KEEP_LOGIN, "old", "-10")
    assert "director exchange --login" in said(environment, LOGIN)
    kept = [path for path in (tmp_path / "academy").rglob("*") if path.is_file()]
    assert kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)


def test_somebody_logs_in_once_by_hand_and_nobody_is_asked_from_then_on(auth, environment):
    command = "import typer; from director.cli.exchange import exchange; typer.run(exchange)"

    def log_in(code):
        return subprocess.run(
            [sys.executable, "-c", command, "--login"],
            env=environment,
            input=f"{code}\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    wrong = log_in("wrong")
    assert wrong.returncode == 3
    assert "Globus Auth refused the login" in wrong.stderr
    done = log_in("the-code")
    assert done.returncode == 0, done.stderr
    assert "/v2/oauth2/authorize?" in done.stdout
    assert "--exchange hosted" in done.stderr
    assert said(environment, LOGIN) == "new"


def test_a_globus_auth_that_is_away_is_said(auth, environment):
    away = environment | {
        "GLOBUS_SDK_SERVICE_URL_AUTH": f"http://127.0.0.1:{free_port()}/",
        "ACADEMY_GLOBUS_CLIENT_ID": CLIENT_ID,
        "ACADEMY_GLOBUS_CLIENT_SECRET": "hush",
    }
    assert "Globus Auth cannot be reached" in said(away, LOGIN)


async def test_a_login_that_ends_in_the_middle_is_said_and_comes_back(url, auth, tmp_path, monkeypatch):
    monkeypatch.setattr("director.exchange.steady.REFUSED_PAUSE_S", 0.2)
    monkeypatch.setattr("director.exchange.http.LISTEN_S", 1.0)
    monkeypatch.setattr("director.exchange.hosted.log_in", _no_login)
    client = await connect(spec(url))
    async with director(spec(url), tmp_path) as runtime, link(client, runtime.agent_id) as to:
        await to.call("status")
        user = auth.users.pop("good")
        async with asyncio.timeout(30):
            while "has expired" not in str(trouble_of(client)):
                await asyncio.sleep(0.05)
        auth.users["good"] = user
        assert (await asyncio.wait_for(to.call("status"), 30))["director"] == 0
    await client.close()


def _no_login(**_):
    raise ExchangeError("there is no login")
