"""``director chat`` as people and scripts use it: a real terminal, real workers, real Directors, and a kill."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from director.fleet import Fleet
from partitions.guard import BLOCK_MARK_VARIABLE, marked
from tests.agent_runs.terminals import CTRL_C, CTRL_D, ENTER, UP, on_terminal
from tests.director.pooling import command as command_of
from tests.director.pooling import parent
from tests.director.team.teaming import NAMES, environment_of, team_file
from tests.helpers import end_all, processes_naming, wait_until
from tests.llm.fixtures import Llm
from tests.llm.minds import one_call
from tests.llm.minds_team import member, roles, speaker
from tests.llm.server import LLMServer
from tests.llm.talk import Answer, Fault

DIRECTOR = [sys.executable, "-m", "director"]
SECRET = "a-key-that-is-written-nowhere"  # noqa: S105


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    wait_until(lambda: not processes_naming(str(tmp_path)), 30, "the end of all processes")


def write_team(folder: Path, **fields: Any) -> Path:
    path = folder / "team.yaml"
    path.write_text(team_file(**fields).model_dump_json(exclude_defaults=True))
    return path


def surroundings(server: LLMServer, home: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return {**kept, **environment_of(server), "DIRECTOR_HOME": str(home), "PYTHONPATH": str(Path.cwd()), **more}


def chat(
    team: Path, lines: Sequence[str], environment: Mapping[str, str], *options: str, code: int = 0
) -> list[dict[str, Any]]:
    """What ``director chat --json`` says to some lines."""
    messages = [word for line in lines for word in ("--message", line)]
    done = subprocess.run(
        [*DIRECTOR, "chat", str(team), "--json", *messages, *options],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def outcomes_of(run: Path) -> list[dict[str, Any]]:
    command = [*DIRECTOR, "outcomes", str(run), "--json"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(line) for line in listed.stdout.splitlines()]


def workers_under(folder: str) -> list[int]:
    """The workers of the pools that a chat with its files in a folder keeps. A pool starts its helper first."""
    (keeper,) = [pid for pid in processes_naming(folder) if "director.team.nodes_process" in command_of(pid)]
    mark = re.search(rb"DIRECTOR_MARK=(\w+)", Path(f"/proc/{keeper}/environ").read_bytes())
    assert mark is not None
    pools: dict[int, list[int]] = {}
    for pid in sorted(marked(f"{mark[1].decode()}.*", BLOCK_MARK_VARIABLE)):
        if "spawn_main" in command_of(pid):
            pools.setdefault(parent(pid), []).append(pid)
    return [pid for pids in pools.values() for pid in pids[1:]]


def test_three_agents_overlap_almost_threefold_and_one_that_fails_is_counted_and_named(llm: Llm, home: Path) -> None:
    server = llm(member, delay_s=0.5, faults=[Fault("server_error", at=3, times=2, containing="bob speaks.")])
    environment = surroundings(server, home)
    (batch,) = chat(write_team(home), ["/batch 12"], environment, code=1)
    stats = batch["stats"]
    assert stats["by_status"] == {"ok": 10, "partial": 2}
    assert {one["agent"]: (one["asked"], one["failed"]) for one in stats["agents"]} == {
        "ada": (12, 0),
        "bob": (12, 2),
        "cy": (12, 0),
    }
    partial = [one for one in batch["messages"] if one["status"] == "partial"]
    assert all("Failed: bob (" in one["who"] and "Answered: " in one["who"] for one in partial)
    assert server.most_at_once == 3
    # On a machine with nothing else to do it is above 2.8; busy ones start threads late.
    assert 2.0 < stats["overlap"] <= 3.0
    # A minute later, in another process: all of it is still there, and /stats says the same.
    (history, again) = chat(write_team(home), ["/history 12", "/stats all"], environment)
    assert [one["status"] for one in history].count("partial") == 2
    assert {one["agent"]: one["failed"] for one in again["agents"]} == {"ada": 0, "bob": 2, "cy": 0}


def test_a_session_on_a_terminal(llm: Llm, home: Path) -> None:
    server = llm(member, faults=[Fault("slow", seconds=120, containing="never mind")])
    command = [*DIRECTOR, "chat", str(write_team(home))]
    with on_terminal(command, surroundings(server, home)) as terminal:
        terminal.until("team testers (parallel): ada, bob, cy")
        terminal.until("you>")
        terminal.type("hello all" + ENTER)
        shown = terminal.until("ok in")
        for name in NAMES:
            assert f"{name} answered in" in shown
            assert f"{name} at 0.5 heard 'hello all' after 0 answers" in shown
        terminal.until("you>")
        terminal.type("never mind" + ENTER)
        wait_until(lambda: len([one for one in server.chats if one.user == "never mind"]) == 3, 60, "the questions")
        terminal.type(CTRL_C)
        terminal.until("cancelled; what agents had said is in /history")
        terminal.until("you>")
        terminal.type(UP + UP + ENTER)  # what was typed before the last
        terminal.until("heard 'hello all' after 1 answers")
        terminal.until("you>")
        terminal.type("/pause bob" + ENTER)
        terminal.until("bob is paused")
        terminal.type("/status" + ENTER)
        shown = terminal.until("no run: no Tools")
        assert "Parsl, 3 threads of this process" in shown
        assert re.search(r"bob +paused", terminal.until("\n  cy "))
        terminal.type("/stats" + ENTER)
        assert "3 messages (2 ok, 1 cancelled)" in terminal.until("asked")
        terminal.type("/help" + ENTER)
        terminal.until("send N messages")
        terminal.type(CTRL_C)  # there may be no prompt yet, and no message to cancel
        terminal.until("you>")
        terminal.type("half a line")
        terminal.until("half a line")
        terminal.type(CTRL_C)
        terminal.until("you>")
        terminal.type("/hlep" + ENTER)
        terminal.until("Did you mean /help?")
        terminal.type(CTRL_D)
        assert terminal.ended() == 0
    with on_terminal(command, surroundings(server, home)) as terminal:
        terminal.until("3 messages in its history")
        terminal.until("you>")
        terminal.type(UP + ENTER)  # the last message of the session before
        terminal.until("heard 'hello all' after 2 answers")
        terminal.type("/history 4" + ENTER)
        shown = terminal.until("4 hello all")
        assert "1 hello all" in shown
        assert "2 never mind" in shown
        assert "cancelled" in shown
        terminal.type("/quit" + ENTER)
        assert terminal.ended() == 0


def test_what_was_said_survives_a_kill_and_the_agents_are_told_of_it(llm: Llm, home: Path) -> None:
    server = llm(member, faults=[Fault("slow", seconds=120, containing="too late")])
    team, environment = write_team(home), surroundings(server, home)
    chat(team, ["first"], environment)
    messages = ["--message", "second", "--message", "too late"]
    with subprocess.Popen([*DIRECTOR, "chat", str(team), "--json", *messages], env=environment) as process:
        wait_until(lambda: any(one.user == "too late" for one in server.chats), 120, "the last question")
        process.send_signal(signal.SIGKILL)
    history, third = chat(team, ["/history", "third"], environment)
    assert [(one["message"], one["status"]) for one in history] == [
        ("first", "ok"),
        ("second", "ok"),
        ("too late", "interrupted"),
    ]
    assert "heard 'third' after 2 answers" in third["answer"]


@pytest.mark.timeout(400)
def test_calls_run_on_nodes_by_parsls_high_throughput_executor(llm: Llm, home: Path) -> None:
    server = llm(member, delay_s=0.3, key=SECRET, faults=[Fault("server_error", at=1, containing="cy speaks.")])
    environment = surroundings(server, home, DIRECTOR_LLM_API_KEY=SECRET)
    team = write_team(home)
    options = ["--on", "nodes", "--nodes", "2", "--allocation", "local", "--history", str(home / "h" / "c.sqlite")]
    batch, status = chat(team, ["/batch 4 say {k}", "/status"], environment, *options, code=1)
    assert status["runs_by"] == "Parsl, 4 workers on local-0, local-1"
    assert batch["stats"]["by_status"] == {"ok": 3, "partial": 1}
    assert all(logged.authorized for logged in server.log)
    said = [one for message in batch["messages"] for one in message["answers"] if one["status"] == "ok"]
    assert {one["where"].partition("/")[0] for one in said} == {"local-0", "local-1"}
    for number, message in enumerate(batch["messages"], 1):
        texts = [one["text"] for one in message["answers"] if one["status"] == "ok"]
        assert texts
        assert all(f"'say {number}'" in text for text in texts), "an answer came to another message"
    assert server.most_at_once >= 2
    assert sorted(path.name for path in (home / "h").iterdir()) == ["c.sqlite"], "the workers' files are gone"
    assert SECRET.encode() not in (home / "h" / "c.sqlite").read_bytes()


@pytest.mark.timeout(400)
def test_a_chat_that_is_killed_leaves_no_worker_behind_and_no_key_on_the_disk(llm: Llm, home: Path) -> None:
    server = llm(member, key=SECRET, faults=[Fault("slow", seconds=300)])
    environment = surroundings(server, home, DIRECTOR_LLM_API_KEY=SECRET)
    command = [*DIRECTOR, "chat", str(write_team(home)), "--message", "wait", "--on", "nodes", "--allocation", "local"]
    with subprocess.Popen(command, env=environment) as process:
        wait_until(lambda: len(server.log) == 3, 200, "the questions")
        assert len(processes_naming("director.team.nodes_process")) > 0
        files = [path for path in home.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if SECRET.encode() in path.read_bytes()]
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes_naming(str(home)), 30, "the end of all workers")


@pytest.mark.timeout(400)
def test_a_call_whose_worker_is_killed_is_run_again(llm: Llm, home: Path) -> None:
    server = llm(member, faults=[Fault("slow", at=0, times=3, seconds=300)])
    command = [*DIRECTOR, "chat", str(write_team(home)), "--json", "--message", "wait", "--on", "nodes"]
    environment = surroundings(server, home)
    with subprocess.Popen([*command, "--allocation", "local"], env=environment, stdout=subprocess.PIPE) as process:
        wait_until(lambda: len(server.log) == 3, 200, "the questions")
        workers = workers_under(str(home))
        assert len(workers) == 3
        end_all(workers)
        said, _ = process.communicate(timeout=120)
    (done,) = [json.loads(line) for line in said.splitlines()]
    assert done["status"] == "ok"
    assert len(server.log) == 6


@pytest.mark.timeout(400)
async def test_an_agent_calls_a_tool_on_a_director_and_its_call_is_a_request_of_the_run(llm: Llm, home: Path) -> None:
    sleeps = one_call("mock_md", {"duration_s": 0.1, "seed": 7})
    too_long = one_call("mock_md", {"duration_s": -1})
    server = llm(roles(ada=sleeps, bob=too_long, cy=lambda chat: Answer("no tools here")))
    file = team_file()
    agents = [agent.model_copy(update={"tools": ["mock_md"]} if agent.name != "cy" else {}) for agent in file.agents]
    team = home / "team.yaml"
    team.write_text(file.model_copy(update={"agents": agents, "run": "run"}).model_dump_json(exclude_defaults=True))
    async with Fleet.launch(run_dir=home / "run", workers_per_node=1) as fleet:
        (done,) = await asyncio.to_thread(chat, team, ["how long?"], surroundings(server, home))
        assert fleet.folder is not None
    found = {one["agent"]: one for one in done["answers"]}
    (use,) = found["ada"]["tool_uses"]
    assert (use["tool"], use["status"]) == ("mock_md", "ok")
    assert '"slept_s": 0.1' in found["ada"]["text"]
    assert found["bob"]["tool_uses"][0]["status"] == "refused"
    assert "greater than or equal to 0" in found["bob"]["text"]
    outcomes = await asyncio.to_thread(outcomes_of, home / "run")
    assert [(one["id"], one["status"], one["inputs"]["seed"]) for one in outcomes] == [(use["request_id"], "ok", 7)]
    audit = [json.loads(line) for line in (home / "run" / "agents" / "audit.jsonl").read_text().splitlines()]
    assert {(line["agent"], line["tool"]) for line in audit if line["event"] == "asked"} == {
        ("ada", "mock_md"),
        ("bob", "mock_md"),
    }
    assert {line["agent"]: line["llm_tokens"] for line in audit if line["event"] == "tokens"}.keys() == {"ada", "bob"}
    assert not next(one for one in server.chats if speaker(one) == "cy").tools


def test_a_script_that_is_interrupted_ends_and_what_was_said_is_kept(llm: Llm, home: Path) -> None:
    server = llm(member, faults=[Fault("slow", seconds=120, containing="never mind")])
    team, environment = write_team(home), surroundings(server, home)
    command = [*DIRECTOR, "chat", str(team), "--json", "--message", "never mind", "--message", "not any more"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        wait_until(lambda: len(server.log) == 3, 120, "the questions")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [json.loads(line)["status"] for line in said.splitlines()] == ["cancelled"]
    assert not [one for one in server.chats if one.user == "not any more"]


def test_what_cannot_be_done_is_refused_before_anything_is_asked(llm: Llm, home: Path) -> None:
    server = llm(member)
    environment = surroundings(server, home)
    team = write_team(home, of={"tools": ["md"]})
    assert chat(team, ["hello"], environment, code=2) == []
    assert chat(write_team(home), ["hello"], environment, "--nodes", "2", code=2) == []
    (refused,) = chat(write_team(home), ["/bach 2"], environment, code=1)
    assert refused["refused"][0]["hint"] == "Did you mean /batch?"
    assert server.log == []
