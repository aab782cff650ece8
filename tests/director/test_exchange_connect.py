"""What a user is told when an exchange cannot be used, and within what time."""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import time

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from director.exchange import ExchangeChoice, ExchangeError, connect, settle, steady
from director.exchange.server import exchange_app
from director.exchange.tokens import RunTokens, new_secret, run_token
from director.spec import ExchangeSpec
from tests.director.exchanging import HttpServer, RedisServer, closing, free_port

SECONDS = 12.0
TOKEN = SecretStr("run12345.0123")


async def refusal(spec) -> ExchangeError:
    """What is said about an exchange that cannot be used."""
    begin = time.monotonic()
    with pytest.raises(ExchangeError) as caught:
        await connect(spec)
    assert time.monotonic() - begin < SECONDS
    assert caught.value.hint
    assert str(caught.value) == f"{caught.value.message}. {caught.value.hint}"
    if spec.token is not None:
        assert spec.token.get_secret_value() not in str(caught.value)
    return caught.value


def http(port, scheme="http", host="127.0.0.1", token=TOKEN):
    return ExchangeSpec(url=f"{scheme}://{host}:{port}", token=token)


@contextlib.asynccontextmanager
async def site(app, tls=None):
    """A web server that is not, or not yet, an exchange."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener, ssl_context=tls).start()
    try:
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()


def answering(answer):
    """An application that gives the same answer to whatever it is asked."""

    async def handle(_):
        return answer()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    return app


def certificate(folder, name="127.0.0.1"):
    """A certificate that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(pem + private)
    (folder / "authority.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


async def test_nobody_listens():
    error = await refusal(http(free_port()))
    assert "nobody listens at http://127.0.0.1:" in str(error)
    assert "director exchange" in error.hint
    assert error.passing


async def test_a_machine_that_is_not_known():
    error = await refusal(http(8700, host="no-such-machine.invalid"))
    assert "no-such-machine.invalid" in error.message
    assert "no machine is known" in error.message


async def test_someone_who_listens_and_never_answers(monkeypatch):
    monkeypatch.setattr(steady, "CONNECT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = await refusal(http(listener.getsockname()[1]))
    assert "does not answer in time" in str(error)
    assert error.passing


@pytest.mark.parametrize("token", [TOKEN, None, SecretStr("guess-work")])
async def test_a_token_that_is_refused(token):
    with closing(HttpServer(RunTokens(new_secret()))) as server:
        error = await refusal(ExchangeSpec(url=server.url, token=token))
    assert "refused the token" in error.message
    assert "DIRECTOR_EXCHANGE_SECRET" in error.hint
    assert "--exchange-secret" in error.hint
    assert not error.passing


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text="It works!"),
        lambda: web.json_response({"hello": "world"}),
        lambda: web.json_response(["hello"]),
        lambda: web.Response(status=404),
        lambda: web.Response(status=405),
        lambda: web.Response(status=400, text="plain HTTP was sent to an HTTPS port"),
    ],
)
async def test_a_web_server_that_is_no_exchange(answer):
    async with site(answering(answer)) as port:
        error = await refusal(http(port))
    assert "is not an exchange" in error.message
    assert "Correct the URL" in error.hint
    assert not error.passing


async def test_a_web_server_that_sends_callers_elsewhere_does_not_get_the_token_there():
    asked = []

    async def note(request):
        asked.append(request.headers)
        return web.Response()

    elsewhere = web.Application()
    elsewhere.router.add_route("*", "/{path:.*}", note)
    async with site(elsewhere) as other:
        where = f"http://127.0.0.1:{other}/"
        async with site(answering(lambda: web.Response(status=307, headers={"Location": where}))) as port:
            error = await refusal(http(port))
    assert f"sends callers on to {where}" in error.message
    assert asked == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_a_proxy_whose_exchange_fails(status):
    async with site(answering(lambda: web.Response(status=status))) as port:
        error = await refusal(http(port))
    assert f"fails ({status}" in error.message
    assert error.passing


async def test_something_that_speaks_no_http():
    async def greet(_, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    error = await refusal(http(server.sockets[0].getsockname()[1]))
    server.close()
    assert "is not an exchange" in error.message


async def test_https_where_there_is_no_tls():
    with closing(HttpServer(RunTokens(new_secret()))) as server:
        error = await refusal(http(server.port, scheme="https"))
    assert "does not speak TLS" in error.message
    assert "http:// for the others" in error.hint


async def test_a_certificate_that_is_not_trusted_and_one_that_is(tmp_path, monkeypatch):
    secret = new_secret()
    async with site(exchange_app(RunTokens(secret)), certificate(tmp_path)) as port:
        spec = http(port, scheme="https", token=run_token(secret, "run12345"))
        error = await refusal(spec)
        assert "certificate" in error.message
        assert "SSL_CERT_FILE" in error.hint
        assert not error.passing
        trusting = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        # What SSL_CERT_FILE does when the process starts.
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
        client = await connect(spec)
        await client.close()


async def test_a_proxy_that_is_not_there(monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    error = await refusal(http(8700, host="exchange.invalid"))
    assert "proxy" in error.message
    assert "NO_PROXY" in error.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.3"])
async def test_no_proxy_is_asked_for_a_loopback_address(host, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    error = await refusal(http(free_port(), host=host))
    assert "nobody listens" in error.message


async def test_redis_nobody_listens():
    error = await refusal(ExchangeSpec(kind="redis", url=f"redis://127.0.0.1:{free_port()}"))
    assert "nobody answers for Redis at redis://127.0.0.1:" in error.message
    assert error.passing


async def test_redis_on_a_machine_that_is_not_known():
    error = await refusal(ExchangeSpec(kind="redis", url="redis://no-such-machine.invalid"))
    assert "no-such-machine.invalid" in error.message


@pytest.mark.parametrize("password", [None, SecretStr("wrong")])
async def test_redis_that_refuses_the_password(tmp_path, password):
    with closing(RedisServer(tmp_path)) as redis:
        error = await refusal(redis.spec(token=password))
        assert "refused the password" in error.message
        assert "--exchange-secret" in error.hint
        assert not error.passing
        tls = await refusal(redis.spec(url=redis.url.replace("redis:", "rediss:")))
        assert "redis:// where not" in tls.hint


async def test_redis_that_is_something_else():
    with closing(HttpServer(RunTokens(new_secret()))) as server:
        error = await refusal(ExchangeSpec(kind="redis", url=f"redis://127.0.0.1:{server.port}", token=TOKEN))
    assert "Redis" in error.message
    assert "Correct the URL" in error.hint or "correct the URL" in error.hint


async def test_redis_that_never_answers(monkeypatch):
    monkeypatch.setattr(steady, "CONNECT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = await refusal(ExchangeSpec(kind="redis", url=f"redis://127.0.0.1:{listener.getsockname()[1]}"))
    assert "does not answer in time" in error.message


async def test_an_exchange_is_as_good_with_a_path_and_a_slash_at_its_end(tmp_path):
    secret = new_secret()
    outer = web.Application()
    outer.add_subapp("/exchange", exchange_app(RunTokens(secret)))
    async with site(outer) as port:
        choice = ExchangeChoice("http", f"http://127.0.0.1:{port}/exchange/", secret)
        client = await connect(settle(choice, "run12345"))
        await client.close()
