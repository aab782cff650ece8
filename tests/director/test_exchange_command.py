import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from academy.identifier import AgentId
from typer.testing import CliRunner

from director.agent import DirectorAgent
from director.cli.exchange import exchange
from director.exchange import choose, connect, register, settle
from tests.director.exchanging import RedisServer, closing, director, free_port, handle_of, link
from tests.helpers import wait_until

COMMAND = [sys.executable, "-c", "import typer; from director.cli.exchange import exchange; typer.run(exchange)"]


class Served:
    """`director exchange` as a process."""

    def __init__(self, *options: str, secret_file: Path) -> None:
        self._options = ["--json", "--secret-file", str(secret_file), *options]
        self._secret_file = secret_file
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([*COMMAND, *self._options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode()
        self.document = json.loads(line)

    def spec(self, run_id="run12345"):
        return settle(choose(self.document["url"], self._secret_file, {}), run_id)

    def end(self, how=signal.SIGKILL) -> int:
        self.process.send_signal(how)
        code = self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def secret_file(tmp_path):
    return tmp_path / "secret"


def refusal(*options):
    """What is said about options that are not taken."""
    import typer

    app = typer.Typer()
    app.command()(exchange)
    done = CliRunner().invoke(app, ["--json", *map(str, options)])
    assert done.exit_code == 2, done.output
    return json.loads(done.stderr)["refused"][0]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_it_is_asked_to_end_and_then_ends_at_once(secret_file, tmp_path, how):
    ready = tmp_path / "ready.json"
    served = Served("--port", "0", "--ready-file", str(ready), secret_file=secret_file)
    assert json.loads(ready.read_text()) == served.document
    assert served.document["url"].startswith("http://127.0.0.1:")
    assert served.document["pid"] == served.process.pid
    assert served.document["mailboxes"] == "memory"
    assert secret_file.stat().st_mode & 0o777 == 0o600
    client = await connect(served.spec())
    async with director(served.spec(), tmp_path) as runtime, link(client, runtime.agent_id) as to:
        assert (await to.call("status"))["director"] == 0
        begin = time.monotonic()
        assert await asyncio.to_thread(served.end, how) == 0  # with a client that waits for Outcomes
        assert time.monotonic() - begin < 5
    assert not ready.exists()
    await client.close()


async def test_killed_and_started_again_it_is_found_again(secret_file, tmp_path):
    served = Served("--port", str(free_port()), secret_file=secret_file)
    client = await connect(served.spec())
    async with director(served.spec(), tmp_path) as runtime, link(client, runtime.agent_id) as to:
        await to.call("status")
        served.end()
        asked = asyncio.create_task(to.call("status"))
        await asyncio.to_thread(served.start)
        assert (await asyncio.wait_for(asked, 30))["director"] == 0
    await client.close()
    served.end()


async def test_with_redis_it_remembers_what_was_on_its_way_when_it_was_killed(secret_file, tmp_path):
    with closing(RedisServer(tmp_path / "redis")) as redis:
        password = tmp_path / "password"
        password.touch(mode=0o600)
        password.write_text(redis.password.get_secret_value())
        options = ("--port", str(free_port()), "--redis", redis.url, "--redis-password-file", str(password))
        served = Served(*options, secret_file=secret_file)
        assert served.document["mailboxes"] == "redis"
        client = await connect(served.spec())
        agent_id = AgentId(uid=uuid.uuid4())
        await register(client, DirectorAgent, agent_id)
        waiting = asyncio.create_task(handle_of(client, agent_id).action("status"))
        await asyncio.to_thread(
            wait_until, lambda: redis.ask("llen", f"queue:{agent_id.uid}").strip() == "1", what="the call's arrival"
        )
        served.end()
        await asyncio.to_thread(served.start)
        async with director(served.spec(), tmp_path, agent_id):
            assert (await asyncio.wait_for(waiting, 20))["director"] == 0
        await client.close()
        served.end()


def test_without_redis_it_does_not_start_and_says_why(secret_file):
    done = subprocess.run(
        [*COMMAND, "--secret-file", secret_file, "--port", "0", "--redis", f"redis://127.0.0.1:{free_port()}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 3
    assert "nobody answers for Redis" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104
def test_an_address_that_others_reach_wants_a_word_more(secret_file, host):
    problem = refusal("--secret-file", secret_file, "--host", host)
    assert problem["where"] == "host"
    assert "does not encrypt" in problem["message"]
    assert "ssh tunnel" in problem["hint"]
    assert "--plain-http" in problem["hint"]
    assert not secret_file.exists()


def test_with_that_word_it_would_listen_there(secret_file):
    # Nothing listens beyond this machine for a test: the address is nobody's.
    problem = refusal("--secret-file", secret_file, "--port", "0", "--host", "192.0.2.1", "--plain-http")
    assert "cannot listen at 192.0.2.1" in problem["message"]
    assert not secret_file.exists()


def test_a_secret_that_others_can_read_is_refused(secret_file):
    secret_file.write_text("s" * 40)
    secret_file.chmod(0o644)
    problem = refusal("--secret-file", secret_file, "--port", "0")
    assert problem["where"] == "secret-file"
    assert "chmod 600" in problem["hint"]


def test_a_secret_is_needed():
    assert "--secret-file" in refusal()["hint"]


def test_a_port_that_is_taken_is_refused(secret_file):
    served = Served("--port", "0", secret_file=secret_file)
    port = served.document["url"].rpartition(":")[2]
    problem = refusal("--secret-file", secret_file, "--port", port)
    served.end()
    assert problem["where"] == "port"
    assert "in use" in problem["message"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        (["--redis", "http://127.0.0.1"], "redis"),
        (["--redis", "redis://:hush@127.0.0.1"], "redis"),
        (["--redis-password-file", "x"], "redis-password-file"),
        (["--redis", "redis://127.0.0.1", "--redis-password-file", "/none"], "redis-password-file"),
    ],
)
def test_what_it_cannot_use_is_refused(secret_file, options, where):
    problem = refusal("--secret-file", secret_file, "--port", "0", *options)
    assert problem["where"] == where
    assert not secret_file.exists()


def test_neither_secret_nor_password_stands_where_others_see_it(secret_file):
    served = Served("--port", "0", secret_file=secret_file)
    secret = secret_file.read_text().strip()
    seen = Path(f"/proc/{served.process.pid}/cmdline").read_bytes() + json.dumps(served.document).encode()
    served.end(signal.SIGTERM)
    assert secret.encode() not in seen
    assert str(secret_file).encode() in seen
