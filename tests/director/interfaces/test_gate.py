"""Who comes in over HTTP is decided by the headers: nothing of a stranger's body is read."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.door import Refused
from director.interfaces.gate import AGENT, Entered, Gate, Tokens, Turned, enter, human_token, tokens_in

ALICE, BOB, ME = "a" * 30, "b" * 30, "m" * 30
TOKENS = Tokens(agents={"alice": ALICE, "bob": BOB}, human=ME)
PORT = 8123


def headers(token: str | None = ALICE, host: str = f"127.0.0.1:{PORT}", origin: str | None = None) -> list[Any]:
    found = [(b"host", host.encode())]
    if token is not None:
        found.append((b"authorization", f"Bearer {token}".encode()))
    if origin is not None:
        found.append((b"origin", origin.encode()))
    return found


def status(path: str, given_headers: list[Any]) -> int:
    found = enter(path, given_headers, TOKENS, PORT)
    return found.status if isinstance(found, Turned) else 200


def test_each_token_opens_what_is_its_own() -> None:
    assert enter("/mcp", headers(), TOKENS, PORT) == Entered("alice")
    assert enter("/mcp", headers(BOB, host=f"LOCALHOST:{PORT}"), TOKENS, PORT) == Entered("bob")
    assert enter("/confirm", headers(ME), TOKENS, PORT) == Entered(None)
    assert enter("/confirm/abc", headers(ME), TOKENS, PORT) == Entered(None)
    assert status("/mcp", headers(ME)) == 403
    assert status("/confirm", headers(ALICE)) == 403  # an agent does not answer its own questions
    assert status("/confirm/abc", headers(ALICE)) == 404
    assert status("/other", headers(ALICE)) == 404


@pytest.mark.parametrize("token", [None, "", "wrong", ALICE[:-1], f"{ALICE}x", f"{ALICE} {ALICE}"])
@pytest.mark.parametrize("path", ["/mcp", "/confirm", "/confirm/abc", "/other"])
def test_a_wrong_token_opens_nothing(path: str, token: str | None) -> None:
    assert status(path, headers(token)) == 401


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    shown = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"authorization", f"Bearer {text}".encode(errors="replace"))]
    assert isinstance(enter("/mcp", shown, TOKENS, PORT), Turned) == (text not in (ALICE, BOB))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:8123.x"])
def test_another_host_is_turned_away_whatever_it_shows(host: str) -> None:
    assert status("/mcp", headers(host=host)) == 421


def test_two_hosts_or_two_tokens_are_turned_away() -> None:
    assert status("/mcp", [*headers(), (b"host", b"evil.example")]) == 421
    assert status("/mcp", [(b"authorization", f"Bearer {ALICE}".encode())]) == 421
    assert status("/mcp", [*headers(), (b"authorization", b"Bearer other")]) == 401
    assert status("/mcp", [(b"host", b"localhost:8123"), (b"authorization", f"Basic {ALICE}".encode())]) == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8123", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_is_turned_away(origin: str) -> None:
    assert status("/mcp", headers(origin=origin)) == 403
    assert status("/mcp", headers(origin=f"http://localhost:{PORT}")) == 200


class Connection:
    """One request, as ASGI has it; its body can be read once, and whether it was is known."""

    def __init__(self, path: str, given_headers: list[Any], body: bytes = b"{not json", method: str = "POST") -> None:
        self.scope = {"type": "http", "path": path, "method": method, "headers": given_headers}
        self.read = False
        self._body = body
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        self.read = True
        return {"type": "http.request", "body": self._body}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


async def test_a_strangers_body_is_not_read_and_no_application_hears_of_it() -> None:
    async def agents(*_: Any) -> None:
        raise AssertionError("it came through")

    connection = Connection("/mcp", headers("wrong"))
    await Gate(TOKENS, PORT, agents=agents)(connection.scope, connection.receive, connection.send)
    assert connection.sent[0]["status"] == 401
    assert dict(connection.sent[0]["headers"])[b"www-authenticate"] == b"Bearer"
    assert not connection.read


async def test_an_agent_is_known_by_its_token_alone() -> None:
    seen = []

    async def agents(scope: dict[str, Any], *_: Any) -> None:
        seen.append(scope[AGENT])

    connection = Connection("/mcp", [*headers(BOB), (b"director_agent", b"alice")])
    connection.scope[AGENT] = "alice"
    await Gate(TOKENS, PORT, agents=agents)(connection.scope, connection.receive, connection.send)
    assert seen == ["bob"]


@pytest.mark.parametrize("body", [b"{}", b'{"allow": "yes"}', b"x" * 20_000, b'{"allow": true}'])
async def test_an_answer_that_is_none_or_to_no_question_is_refused(tmp_path: Path, body: bytes) -> None:
    from director.interfaces.confirming import Questions

    connection = Connection(f"/confirm/{'0' * 32}", headers(ME), body)
    gate = Gate(TOKENS, PORT, questions=Questions(tmp_path))
    await gate(connection.scope, connection.receive, connection.send)
    assert connection.sent[0]["status"] == 400
    looking = Connection("/confirm", headers(ME), method="GET")
    await gate(looking.scope, looking.receive, looking.send)
    assert json.loads(looking.sent[1]["body"]) == {"waiting": []}


def test_tokens_are_made_once_kept_and_not_for_others_to_read(tmp_path: Path) -> None:
    file = tmp_path / "agents" / "tokens.json"
    first = tokens_in(file, ["alice"])
    second = tokens_in(file, ["bob", "alice"])
    assert second.agents["alice"] == first.agents["alice"] != second.agents["bob"]
    assert list(tokens_in(file, ["bob"]).agents) == ["bob"]  # alice is not served now
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    human = human_token(tmp_path / "human.json")
    assert human == human_token(tmp_path / "human.json")
    assert len(human) > 40
    file.chmod(0o640)
    with pytest.raises(Refused, match="others can read"):
        tokens_in(file, ["alice"])


@pytest.mark.parametrize(
    "text", ['{"agents": {"a": "short"}}', "no", '{"agents": {"a": "' + ALICE + '", "b": "' + ALICE + '"}}']
)
def test_a_file_of_tokens_that_protect_nothing_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(Refused):
        tokens_in(file, ["alice"])
