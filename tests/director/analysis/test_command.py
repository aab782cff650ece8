"""``director analyze`` says what is wrong before anything starts, and ends in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from director.cli.app import app
from tests.helpers import wait_until
from tests.llm.fixtures import Llm
from tests.llm.minds_analysis import analyst
from tests.llm.server import LLMServer
from tests.llm.talk import Answer, Call, Chat, Fault

PEPTIDE = Path(__file__).resolve().parents[3] / "docs/examples/structures/peptide.pdb"


def settings(server: LLMServer | None = None, **more: str) -> dict[str, str | None]:
    known = {} if server is None else {"DIRECTOR_LLM_BASE_URL": server.base_url, "DIRECTOR_LLM_MODEL": "small"}
    names = ("BASE_URL", "MODEL", "API_KEY", "API_KEY_FILE")
    return {**{f"DIRECTOR_LLM_{name}": None for name in names}, **known, **more}


def run(environment: dict[str, str | None], *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    """Exit code, and what was said in JSON, line by line."""
    result = CliRunner(env=environment).invoke(app, ["analyze", *map(str, arguments), "--json"])
    said = (result.stdout + result.stderr).splitlines()
    return result.exit_code, [json.loads(line) for line in said if line.startswith("{")]


@pytest.mark.parametrize(
    ("arguments", "where", "message"),
    [
        (("--structure", PEPTIDE), "language model", "no language model is configured: base_url and model missing"),
        ((), "--structure", "is not given"),
        (("--structure", "nowhere.pdb"), "--structure", "cannot be read"),
        (("--structure", __file__), "--structure", "has none of the suffixes"),
    ],
)
def test_what_is_missing_is_refused_before_anything_starts(
    tmp_path: Path, arguments: tuple[object, ...], where: str, message: str
) -> None:
    code, said = run(settings(), *arguments, "--run-dir", tmp_path / "run")
    assert code == 2
    (problem,) = said[0]["refused"]
    assert problem["where"] == where
    assert message in problem["message"]
    assert not (tmp_path / "run").exists()


def test_none_configured_says_how_to_configure_one(tmp_path: Path) -> None:
    _, said = run(settings(), "--structure", PEPTIDE, "--run-dir", tmp_path / "run")
    assert "Set DIRECTOR_LLM_BASE_URL (such as https://host/v1), DIRECTOR_LLM_MODEL" in said[0]["refused"][0]["hint"]


@pytest.mark.parametrize(
    ("fix", "message"),
    [
        ("stepz=3", "md has no input 'stepz'"),
        ("steps=-3", "greater than or equal to 1"),
        ("structure=other.pdb", "is given by --structure"),
        ("steps", "is not NAME=VALUE"),
    ],
)
def test_wrong_fixed_inputs_are_refused_before_a_model_is_asked(
    tmp_path: Path, llm: Llm, fix: str, message: str
) -> None:
    server = llm(analyst)
    code, said = run(settings(server), "--structure", PEPTIDE, "--fix", fix, "--run-dir", tmp_path / "run")
    assert code == 2
    assert message in said[0]["refused"][0]["message"]
    assert not server.log


def test_without_an_acceptable_proposal_nothing_is_launched_and_the_command_fails(tmp_path: Path, llm: Llm) -> None:
    def stubborn(chat: Chat) -> Answer:
        return Answer(calls=(Call("md", {"steps": 10, "timestep_fs": 10_000.0, "why": "Fast."}),))

    server = llm(stubborn)
    folder = tmp_path / "run"
    code, said = run(settings(server), "--structure", PEPTIDE, "--corrections", 1, "--run-dir", folder)
    assert (code, len(server.log)) == (3, 2)
    assert said[-1]["ended"] == "no_proposal"
    assert not (folder / "run.json").exists()
    assert "No simulation" in (folder / "analysis.md").read_text()


def test_what_the_command_line_says_of_the_model_is_what_is_sent(tmp_path: Path, llm: Llm) -> None:
    server = llm(lambda chat: Answer("I propose nothing."), key="right")
    options = ("--model", "large", "--temperature", 0.4, "--max-output-tokens", 300, "--corrections", 0)
    given = ("--structure", PEPTIDE, "--question", "Why?", "--run-dir", tmp_path / "run", *options)
    assert run(settings(server, DIRECTOR_LLM_API_KEY="right"), *given)[0] == 3
    (chat,) = server.chats
    assert (chat.model, chat.temperature, chat.body["max_completion_tokens"]) == ("large", 0.4, 300)
    assert "The question: Why?" in chat.user
    written = (tmp_path / "run/analysis/analysis.json").read_text()
    assert '"large"' in written
    assert "right" not in written


def test_a_spent_budget_and_a_wrong_key_fail_with_what_to_do(tmp_path: Path, llm: Llm) -> None:
    server = llm(analyst, key="right")
    given = ("--structure", PEPTIDE, "--run-dir")
    budget = run(settings(server, DIRECTOR_LLM_API_KEY="right"), *given, tmp_path / "a", "--token-budget", 50)
    assert (budget[0], server.log) == (3, [])
    assert "the token budget of 'analyst' is 50" in budget[1][-1]["failed"]["message"]
    code, said = run(settings(server, DIRECTOR_LLM_API_KEY="wrong"), *given, tmp_path / "b")
    assert code == 3
    assert "Check the key" in said[-1]["failed"]["message"]


def test_a_folder_is_taken_once_and_resumed_as_it_was(tmp_path: Path, llm: Llm) -> None:
    server = llm(lambda chat: Answer("Nothing."))
    given = ("--structure", PEPTIDE, "--corrections", 0, "--run-dir", tmp_path / "run")
    assert run(settings(server), *given)[0] == 3
    code, said = run(settings(server), *given)
    assert code == 2
    assert "holds a run already" in said[0]["refused"][0]["message"]
    assert run(settings(server), "--resume", tmp_path / "run", "--structure", PEPTIDE)[0] == 2
    assert run(settings(server), "--resume", tmp_path / "elsewhere")[0] == 2
    assert run(settings(server), "--resume", tmp_path / "run")[0] == 3
    assert len(server.log) == 1


def test_the_key_is_sent_to_no_other_endpoint_than_its_own(tmp_path: Path, llm: Llm) -> None:
    first, second = llm(lambda chat: Answer("Nothing."), key="secret"), llm(analyst)
    given = ("--structure", PEPTIDE, "--corrections", 0, "--run-dir", tmp_path / "run")
    assert run(settings(first, DIRECTOR_LLM_API_KEY="secret"), *given)[0] == 3
    code, said = run(settings(second, DIRECTOR_LLM_API_KEY="secret"), "--resume", tmp_path / "run")
    assert code == 2
    assert "is not sent to" in said[0]["refused"][0]["message"]
    assert not second.log


@pytest.mark.timeout(300)
def test_ctrl_c_while_the_model_thinks_ends_at_once_and_it_can_be_resumed(tmp_path: Path, llm: Llm) -> None:
    server = llm(lambda chat: Answer("Nothing."), faults=[Fault("slow", seconds=600)])
    command = [sys.executable, "-m", "director", "analyze", "--structure", str(PEPTIDE), "--corrections", "0"]
    command += ["--run-dir", str(tmp_path / "run"), "--json"]
    known = {name: value for name, value in settings(server).items() if value is not None}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env={**os.environ, **known}, stdout=pipe, stderr=pipe, text=True) as process:
        wait_until(lambda: bool(server.log) or process.poll() is not None, timeout_s=200)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=200)
    assert process.returncode == 130, said
    ended = json.loads(said.splitlines()[-1])["ended"]
    assert ended["reason"] == "ended by SIGINT"
    assert ended["next"] == f"director analyze --resume {tmp_path / 'run'}"
    assert run(settings(server), "--resume", tmp_path / "run")[0] == 3
    assert len(server.log) == 2
