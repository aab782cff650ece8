"""The MCP server as programs meet it: launched by them, over HTTP, killed, and configured as the pages say."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import fastmcp
import httpx
import httpx2
import pytest
import pytest_asyncio
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.docs.pages import DOCS, blocks
from tests.helpers import alive, end_all, processes_naming, wait_until

DIRECTOR = str(Path(sys.executable).with_name("director"))
LONG_S = 120.0
BATCH = {"tool": "mock_md", "inputs": {"duration_s": 0.05}, "repeat": 5}

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


@contextlib.contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server, once it answers, and what it says of itself."""
    ready = folder / "ready.json"
    command = [DIRECTOR, "mcp", *words, "--ready-file", str(ready)]
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder
        )
        with process:
            try:
                wait_until(lambda: ready.exists() or process.poll() is not None, LONG_S, "the server")
                assert process.poll() is None, (folder / "errors.txt").read_text()
                yield process, json.loads(ready.read_text())
            finally:
                process.terminate()
                try:
                    process.wait(LONG_S)
                finally:
                    process.kill()


def read(file: str | Path) -> Any:
    return json.loads(Path(file).read_text())


def lines_of(file: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in Path(file).read_text().splitlines()]


def gone(folder: Path) -> None:
    wait_until(lambda: not processes_naming(str(folder)), LONG_S, f"the end of {processes_naming(str(folder))}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mcp")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(folder: Path) -> AsyncIterator[dict[str, Any]]:
    policy = folder / "policy.yaml"
    policy.write_text("agents: {alice: {budget: {requests: 50}}, bob: {deny: [submit]}}\nconfirm_within_s: 60\n")
    words = ["--run-dir", str(folder / "run"), "--directors", "2", "--http", "0", "--policy", str(policy)]
    with serving(folder, *words, "--agent", "alice", "--agent", "bob") as (_, said):
        yield said | {"token": read(said["tokens"])["agents"]}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def by_mcp(server: dict[str, Any], agent: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=bearer(server["token"][agent]), timeout=LONG_S) as http,
        Client(streamable_http_client(server["url"], http_client=http)) as client,
    ):
        yield client


def by_fastmcp(server: dict[str, Any], agent: str) -> Any:
    return fastmcp.Client(StreamableHttpTransport(server["url"], headers=bearer(server["token"][agent])))


async def follow(client: Any, folder: Path) -> None:
    """Lists, runs a batch, follows it, fetches a plot and a file, and is refused what is outside: with any client."""

    async def call(name: str, inputs: dict[str, Any]) -> tuple[Any, list[Any]]:
        extra = {"raise_on_error": False} if isinstance(client, fastmcp.Client) else {}
        answer = await client.call_tool(name, inputs, **extra)
        return answer.structured_content, answer.content

    listed = await client.list_tools()
    names = {tool.name for tool in getattr(listed, "tools", listed)}
    assert {"md", "relax", "submit", "outcomes", "cancel", "read_artifact", "report"} <= names
    given, _ = await call("submit", {"requests": [BATCH], "why": "a test"})
    assert given["status"] == "ok", given
    seen: list[str] = []
    while len(seen) < 5:
        page, _ = await call("outcomes", {"ids": given["ids"], "wait_s": 5.0})
        seen = [one["id"] for one in page["outcomes"]]
    assert seen == given["ids"]
    _, content = await call("report", {"kind": "run", "ids": given["ids"]})
    picture = base64.b64decode(content[1].data)
    assert (content[1].mime_type, picture[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    (folder / "secret.txt").write_text("SECRET")
    for path in ("../secret.txt", str(folder / "secret.txt"), "exchange.json", "agents/tokens.json"):
        refused, content = await call("read_artifact", {"path": path})
        assert refused["status"] == "refused"
        assert "SECRET" not in str(content)


async def test_the_mcp_packages_own_client_follows_a_batch_over_http(server: dict[str, Any], folder: Path) -> None:
    async with by_mcp(server, "alice") as client:
        await follow(client, folder)


async def test_another_client_library_follows_a_batch_over_http(server: dict[str, Any], folder: Path) -> None:
    async with by_fastmcp(server, "alice") as client:
        await follow(client, folder)


async def test_a_wrong_token_is_refused_before_anything_is_parsed(server: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as http:
        for headers in ({}, bearer("wrong"), bearer(server["token"]["alice"][:-1])):
            answer = await http.post(server["url"], content=b"{this is no JSON", headers=headers)
            assert (answer.status_code, answer.json()) == (401, {"error": "a token is needed, and this is none"})
        rebound = {**bearer(server["token"]["alice"]), "Host": "evil.example"}
        assert (await http.post(server["url"], content=b"{", headers=rebound)).status_code == 421
        page = {**bearer(server["token"]["alice"]), "Origin": "http://evil.example"}
        assert (await http.post(server["url"], content=b"{", headers=page)).status_code == 403
    with pytest.raises(Exception, match="error response"):
        async with fastmcp.Client(StreamableHttpTransport(server["url"], headers=bearer("wrong"))) as client:
            await client.list_tools()


async def test_an_agent_is_who_its_token_says_and_may_do_what_its_rules_say(server: dict[str, Any]) -> None:
    async with by_mcp(server, "bob") as client:
        refused = (await client.call_tool("submit", {"requests": [BATCH]})).structured_content
        assert refused is not None
        assert "'bob' may not call 'submit'" in refused["problems"][0]["message"]
        given = await client.call_tool("mock_md", {"duration_s": 0}, meta={"md-director/why": "to see"})
        assert given.structured_content is not None
        assert given.structured_content["status"] == "ok"
    lines = lines_of(server["audit"])
    asked = [line for line in lines if line["event"] == "asked" and line["agent"] == "bob"]
    assert [(line["tool"], line["decision"], line.get("why")) for line in asked] == [
        ("submit", "refused", None),
        ("mock_md", "allowed", "to see"),
    ]
    assert {line["face"] for line in asked} == {"mcp-http"}


@pytest.mark.parametrize("allow", [True, False])
async def test_a_person_answers_over_http_with_a_token_that_no_agent_has(server: dict[str, Any], allow: bool) -> None:
    human = read(server["human"])["human"]
    async with by_mcp(server, "alice") as client, httpx.AsyncClient() as http:
        given = await client.call_tool("submit", {"requests": [{"tool": "mock_md", "inputs": {"duration_s": 60}}]})
        assert given.structured_content is not None
        ids = given.structured_content["ids"]
        calling = asyncio.create_task(client.call_tool("cancel", {"ids": ids, "why": "enough"}))
        while not (found := (await http.get(server["confirm"], headers=bearer(human))).json()["waiting"]):
            await asyncio.sleep(0.05)
        assert (found[0]["agent"], found[0]["tool"], found[0]["why"]) == ("alice", "cancel", "enough")
        place = f"{server['confirm']}/{found[0]['call']}"
        own = await http.post(place, json={"allow": True}, headers=bearer(server["token"]["alice"]))
        assert own.status_code in (403, 404)
        assert (await http.post(place, json={"allow": allow}, headers=bearer(human))).status_code == 200
        answer = (await calling).structured_content
        assert answer is not None
        assert answer["status"] == ("ok" if allow else "refused")
        state = (await client.call_tool("outcomes", {"ids": ids, "wait_s": 30.0 if allow else 0.0})).structured_content
        assert state is not None
        assert state["status"] == ("ok" if allow else "running")


CLIENT = """
import asyncio, sys
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

async def main():
    async with Client(StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])) as client:
        given = await client.call_tool("submit", {"requests": [{"tool": "mock_md", "inputs": {"duration_s": 600}}]})
        print(given.structured_content["ids"][0], flush=True)
        await client.call_tool("outcomes", {"ids": given.structured_content["ids"], "wait_s": 300.0})

asyncio.run(main())
"""


@pytest.mark.parametrize("victim", ["client", "server"])
async def test_a_client_or_a_server_that_is_killed_leaves_nothing_behind(tmp_path: Path, victim: str) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(  # noqa: ASYNC220  (it is waited for in a thread)
        [sys.executable, "-c", CLIENT, DIRECTOR, "mcp", "--run-dir", str(run), "--ready-file", str(tmp_path / "ready")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as client:
        try:
            assert client.stdout is not None
            line = await asyncio.to_thread(client.stdout.readline)
            assert line.strip(), "the client has ended"
            server = read(tmp_path / "ready")["pid"]
            os.kill(client.pid if victim == "client" else server, signal.SIGKILL)
            await asyncio.to_thread(gone, run)
            assert not alive(server)
        finally:
            client.kill()
            end_all(processes_naming(str(run)))


async def test_sigterm_ends_the_server_and_its_directors_in_order(tmp_path: Path) -> None:
    with serving(tmp_path, "--run-dir", str(tmp_path / "run-{time}"), "--confirm-port", "0") as (process, said):
        human = read(said["human"])["human"]
        async with httpx.AsyncClient() as http:
            assert (await http.get(said["confirm"], headers=bearer(human))).json() == {"waiting": []}
        process.terminate()
        assert await asyncio.to_thread(process.wait, LONG_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""  # which is the protocol's
    run = Path(said["audit"]).parents[1]
    assert run.name.startswith("run-2")
    assert read(run / "run.json")["closed_at"] is not None
    assert not (tmp_path / "ready.json").exists()
    gone(run)


def configurations() -> list[Any]:
    page = (DOCS / "how-to" / "mcp.md").read_text(encoding="utf-8")
    found = [json.loads("\n".join(block.lines)) for block in blocks(page) if block.language == "json"]
    servers = [document.get("mcpServers") or document["servers"] for document in found]
    return [pytest.param(one["simulations"], id=next(iter(doc))) for one, doc in zip(servers, found, strict=True)]


@pytest.mark.parametrize("configuration", configurations())
async def test_the_configurations_of_the_page_work_as_they_stand(
    configuration: dict[str, Any], tmp_path: Path, server: dict[str, Any]
) -> None:
    if "url" in configuration:
        shown = re.sub(r"\$\{input:token\}", server["token"]["alice"], configuration["headers"]["Authorization"])
        url = configuration["url"].replace("8123", server["url"].split(":")[2].split("/")[0])
        async with fastmcp.Client(StreamableHttpTransport(url, headers={"Authorization": shown})) as client:
            assert await client.list_tools()
        return
    (tmp_path / "structures").mkdir()
    command = configuration["command"].replace("/path/to/venv/bin/director", DIRECTOR)
    words = [word.replace("/path/to", str(tmp_path)) for word in configuration["args"]]
    assert not re.search("/path/to", f"{command} {' '.join(words)}")
    other = Path.home()  # such programs start elsewhere
    if "--directors" in words:
        async with Client(StdioServerParameters(command=command, args=words, cwd=str(other))) as client:
            await follow(client, tmp_path)
    else:
        async with fastmcp.Client(StdioTransport(command, words, cwd=str(other), keep_alive=False)) as client:
            await follow(client, tmp_path)
    await asyncio.to_thread(gone, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "is not given"),
        (["a", "--run", "b"], "more than once"),
        (["--run-dir", "r", "--agent", "a", "--agent", "b"], "Standard input has one agent"),
        (["--run-dir", "r", "--agent", "a b"], "is no name of an agent"),
        (["--run-dir", "r", "--policy", "none.yaml"], "cannot be read"),
        (["--run-dir", "r", "--files", "none"], "is not a folder"),
    ],
)
async def test_what_cannot_be_served_is_refused_before_anything_starts(
    tmp_path: Path, words: list[str], said: str
) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [DIRECTOR, "mcp", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONG_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")
    assert not (tmp_path / "r").exists()
