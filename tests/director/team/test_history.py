"""What was said outlives the chat; one chat at a time writes it down."""

from __future__ import annotations

import dataclasses
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from director.door import Refused
from director.team.history import History
from director.team.records import AgentAnswer, Answered, ToolUse

ADA = AgentAnswer(
    agent="ada",
    status="ok",
    text="yes\nand no",
    model="m",
    temperature=0.3,
    input_tokens=10,
    output_tokens=3,
    cost_usd=0.001,
    began_at=100.0,
    ended_at=101.5,
    busy_s=1.25,
    waited_s=0.5,
    calls=2,
    tool_uses=(ToolUse("weigh", {"smiles": "O"}, "ok", "r1"), ToolUse("weigh", None, "refused")),
    key="k",
    where="local-0/1",
)
BOB = AgentAnswer(agent="bob", status="failed", error="status 500")
CHAIR = AgentAnswer(agent="aggregator", status="ok", text="yes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat" / "history.sqlite"


def say(history: History, text: str, *, batch: int | None = None, status: str = "ok", answer: str = "yes") -> int:
    number = history.ask(text, team="t", mode="parallel", batch=batch)
    history.finish(Answered(number, text, status, answer=answer))  # type: ignore[arg-type]
    return number


def test_everything_that_was_said_is_there_after_a_restart(path: Path) -> None:
    with History(path, clock=lambda: 99.0) as history:
        number = history.ask("yes or no?", team="t", mode="parallel")
        for answer in (ADA, BOB):
            history.said(number, answer)
        history.said(number, CHAIR, extra=True)
        done = Answered(
            number,
            "yes or no?",
            "partial",
            answer="yes",
            aggregated_by="llm: m",
            answers=(ADA, BOB),
            asked_at=99.0,
            took_s=2.0,
            extra=(CHAIR,),
            events=("bob is paused: late",),
        )
        history.finish(done)
    with History(path) as history:
        assert history.messages() == [done]
        assert history.reusable("k") == ADA
        assert history.typed(10) == ["yes or no?"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_message_without_an_end_is_said_to_be_interrupted(path: Path) -> None:
    with History(path) as history:
        number = history.ask("and then?", team="t", mode="parallel")
        history.said(number, ADA)
    with History(path) as history:
        (kept,) = history.messages()
        assert history.interrupted == 1
        assert (kept.status, kept.answers) == ("interrupted", (ADA,))
        assert history.remembered(10) == []
    with History(path) as history:
        assert history.interrupted == 0


def test_what_was_written_survives_a_kill(path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from director.team.history import History\n"
        "history = History(Path(sys.argv[1]))\n"
        "for text in ('one', 'two'): history.ask(text, team='t', mode='parallel')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    with History(path) as history:
        assert [done.text for done in history.messages()] == ["one", "two"]


def test_only_one_chat_has_it_open(path: Path) -> None:
    with History(path), pytest.raises(Refused, match="is in use by another chat"):
        History(path)
    with History(path) as history:
        assert history.messages() == []


def test_what_is_no_history_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("my notes, which are long enough to be no empty database " * 50)
    with pytest.raises(Refused, match="cannot be used"):
        History(text)
    assert text.read_text().startswith("my notes")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (a)")
    with pytest.raises(Refused, match="is a database of something else"):
        History(other)
    newer = tmp_path / "newer.sqlite"
    History(newer).close()
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(Refused, match="was written by a newer version"):
        History(newer)
    with pytest.raises(Refused, match="cannot be written"):
        History(tmp_path)


def test_conversations_and_batches_are_kept_apart(path: Path) -> None:
    with History(path) as history:
        say(history, "one")
        say(history, "failed", status="failed", answer="")
        say(history, "apart", batch=history.next_batch())
        say(history, "two")
        assert history.next_batch() == 2
        assert [done.text for done in history.remembered(10)] == ["one", "two"]
        assert [done.text for done in history.remembered(1)] == ["two"]
        history.change(by="user", agent="ada", what="paused", why="")
        assert history.changes() == [("ada", "paused", None)]
        assert history.begin_conversation() == 2
        assert history.begin_conversation() == 2, "an empty one is not left behind"
        assert (history.remembered(10), history.changes()) == ([], [])
        say(history, "three")
        assert [done.text for done in history.messages(last=2)] == ["two", "three"]
        assert [done.text for done in history.messages(after=3)] == ["two", "three"]
        assert history.typed(10) == ["one", "failed", "two", "three"]
    with History(path) as history:
        assert history.conversation == 2


def test_a_failed_or_reused_answer_is_not_used_again(path: Path) -> None:
    with History(path) as history:
        number = history.ask("q", team="t", mode="parallel")
        history.said(number, dataclasses.replace(ADA, status="failed", key="f"))
        history.said(number, dataclasses.replace(ADA, reused=True, key="r"))
        assert history.reusable("f") is None
        assert history.reusable("r") is None
        assert history.reusable("other") is None


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written"):
        History(tmp_path / "file" / "history.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
