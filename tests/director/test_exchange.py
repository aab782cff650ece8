import asyncio
import json
import os
import pwd
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from pydantic import SecretStr

from director.exchange import ExchangeError, LoopbackExchange, connect
from director.runfolder import RunFolder

# What another user of the machine could try, knowing the address of the exchange and the path of the run folder.
INTRUDER = """
import json, os, sys, urllib.error, urllib.request
uid, url, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.setgroups([]); os.setgid(uid); os.setuid(uid)
found = {"uid": os.getuid()}
for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": ""}):
    request = urllib.request.Request(url + "/discover", method="GET", headers=headers, data=b"{}")
    try:
        urllib.request.urlopen(request, timeout=10)
        found.setdefault("answers", []).append(200)
    except urllib.error.HTTPError as error:
        found.setdefault("answers", []).append(error.code)
for name in ("exchange.json", "run.json", "."):
    try:
        path = os.path.join(folder, name)
        os.listdir(path) if name == "." else open(path).read()
        found[name] = "read"
    except PermissionError:
        found[name] = "denied"
print(json.dumps(found))
"""


@pytest.fixture
def exchange():
    made = LoopbackExchange().start()
    yield made
    made.close()
    made.close()


def test_it_listens_on_loopback_only(exchange):
    assert exchange.spec.url.startswith("http://127.0.0.1:")
    port = int(exchange.spec.url.rpartition(":")[2])
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection((_other_address(), port), timeout=2).close()


def _other_address() -> str:
    # Linux answers on all of 127.0.0.0/8; a socket bound to 127.0.0.1 does not.
    return "127.0.0.2"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/mailbox", "/message", "/discover", "/mailbox/listen", "/nothing"])
def test_every_route_wants_the_token(exchange, method, path):
    request = urllib.request.Request(exchange.spec.url + path, method=method, data=b"{}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code in (401, 404, 405)
    if path in ("/mailbox", "/discover") and method == "GET":
        assert caught.value.code == 401


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_is_refused(exchange, tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir(mode=0o700)
    folder.record_file.write_text("{}")
    folder.write_exchange(exchange.spec)
    nobody = pwd.getpwnam("nobody").pw_uid
    # The system's Python: the tests' own may lie where nobody may read.
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    done = subprocess.run(
        [python, "-c", INTRUDER, str(nobody), exchange.spec.url, str(folder.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["uid"] == nobody
    assert found["answers"] == [401, 401, 401]
    assert (found["exchange.json"], found["run.json"], found["."]) == ("denied", "denied", "denied")


async def test_a_client_with_the_wrong_token_is_refused_and_one_with_the_right_one_is_not(exchange):
    wrong = exchange.spec.model_copy(update={"token": SecretStr("guess")})
    with pytest.raises(ExchangeError, match="refused the token"):
        await connect(wrong)
    client = await connect(exchange.spec)
    await client.close()


async def test_no_proxy_is_asked(exchange, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with asyncio.timeout(10):
        client = await connect(exchange.spec)
        await client.close()


def test_the_token_is_long_random_and_not_shown(exchange):
    other = LoopbackExchange()
    token = exchange.spec.token.get_secret_value()
    assert len(token) >= 40
    assert token != other.spec.token.get_secret_value()
    assert token not in repr(exchange.spec)
    assert token not in str(exchange.spec)
    other.close()
