"""The history of a team: every message, what each agent said to it, and who failed; in one SQLite file.

A message is on the disk before any agent is asked, and an answer is before it is shown. The file has a rollback
journal, since a write-ahead log needs memory shared between processes, which network file systems have not.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Self

from director.door import Problem, Refused
from director.team.records import AgentAnswer, Answered, ToolUse

SCHEMA_VERSION = 1
APPLICATION_ID = 0x6D645443
TABLES = (
    """CREATE TABLE messages (
        id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, batch INTEGER, asked_at REAL NOT NULL,
        text TEXT NOT NULL, team TEXT NOT NULL, mode TEXT NOT NULL, status TEXT NOT NULL,
        answer TEXT NOT NULL DEFAULT '', aggregated_by TEXT NOT NULL DEFAULT '', took_s REAL NOT NULL DEFAULT 0,
        error TEXT, events TEXT NOT NULL DEFAULT '[]'
    )""",
    """CREATE TABLE answers (
        id INTEGER PRIMARY KEY, message INTEGER NOT NULL REFERENCES messages (id), extra INTEGER NOT NULL,
        agent TEXT NOT NULL, status TEXT NOT NULL, text TEXT NOT NULL, error TEXT, model TEXT, temperature REAL,
        input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL, began_at REAL NOT NULL,
        ended_at REAL NOT NULL, busy_s REAL NOT NULL, waited_s REAL NOT NULL, calls INTEGER NOT NULL,
        tool_uses TEXT NOT NULL, key TEXT NOT NULL, reused INTEGER NOT NULL, "where" TEXT NOT NULL
    )""",
    "CREATE INDEX answers_of ON answers (message)",
    "CREATE INDEX answers_by_key ON answers (key) WHERE status = 'ok'",
    """CREATE TABLE changes (
        id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, at REAL NOT NULL, by TEXT NOT NULL, agent TEXT NOT NULL,
        what TEXT NOT NULL, prompt TEXT, why TEXT NOT NULL
    )""",
)
_ANSWER = tuple(item.name for item in fields(AgentAnswer))
_COLUMNS = ", ".join(f'"{name}"' for name in _ANSWER)
_MARKS = ", ".join("?" * len(_ANSWER))
_SAID = f"INSERT INTO answers (message, extra, {_COLUMNS}) VALUES (?, ?, {_MARKS})"  # noqa: S608  (our own names)
_ANSWERS = f"SELECT extra, {_COLUMNS} FROM answers WHERE message = ? ORDER BY id"  # noqa: S608  (as above)
_REUSABLE = (
    f"SELECT {_COLUMNS} FROM answers WHERE key = ? AND status = 'ok' AND NOT reused "  # noqa: S608  (as above)
    "ORDER BY id DESC LIMIT 1"
)
_MESSAGE = "id, text, status, answer, aggregated_by, asked_at, took_s, batch, error, events"
_MESSAGES = f"SELECT {_MESSAGE} FROM messages WHERE id > ? ORDER BY id DESC LIMIT ?"  # noqa: S608  (as above)
_REMEMBERED = (
    f"SELECT {_MESSAGE} FROM messages WHERE conversation = ? AND batch IS NULL "  # noqa: S608  (as above)
    "AND status IN ('ok', 'partial') ORDER BY id DESC LIMIT ?"
)


class History:
    """A team's history. One chat at a time has it open.

    Args:
        path: The file; made if it is not there, for its owner's eyes only.
        clock: Says what time it is, in s since 1970 (UTC).

    Attributes:
        conversation: Number of the conversation that goes on.
        interrupted: How many messages had no end when it was opened: whoever asked them was gone.

    Raises:
        Refused: If another chat has it open, it is no history, a newer version wrote it, or it cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise Refused(
                [Problem("--history", f"{path} cannot be written ({error.strerror})", "Name another")]
            ) from None
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5, check_same_thread=False)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("BEGIN EXCLUSIVE")
            self._prepare()
            self.interrupted = self._db.execute(
                "UPDATE messages SET status = 'interrupted' WHERE status = 'open'"
            ).rowcount
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._db.close()
            raise Refused([_unusable(path, error)]) from None
        except Refused:
            self._db.close()
            raise
        self.conversation: int = self._one("SELECT coalesce(max(conversation), 1) FROM messages")

    def _prepare(self) -> None:
        version, application = self._one("PRAGMA user_version"), self._one("PRAGMA application_id")
        if (version, application) == (SCHEMA_VERSION, APPLICATION_ID):
            return
        if self._one("SELECT count(*) FROM sqlite_master"):
            newer = application == APPLICATION_ID and version > SCHEMA_VERSION
            message = f"was written by a newer version ({version})" if newer else "is a database of something else"
            raise Refused([Problem("--history", f"{self.path} {message}", "Name another file")])
        for statement in TABLES:
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _one(self, query: str, arguments: tuple[Any, ...] = ()) -> Any:
        return self._db.execute(query, arguments).fetchone()[0]

    # ---- writing

    def ask(self, text: str, *, team: str, mode: str, batch: int | None = None) -> int:
        """Writes a message down before it is answered.

        Returns:
            Its number.
        """
        found = self._db.execute(
            "INSERT INTO messages (conversation, batch, asked_at, text, team, mode, status) "
            "VALUES (?,?,?,?,?,?,'open')",
            (self.conversation, batch, self._clock(), text, team, mode),
        ).lastrowid
        assert found is not None  # noqa: S101  (SQLite has just given it)
        return found

    def said(self, message: int, answer: AgentAnswer, *, extra: bool = False) -> None:
        """Writes down what an agent said, or that it failed.

        Args:
            message: Number of the message.
            answer: What it said.
            extra: Whether it is no agent of the team, but the aggregator or the supervisor.
        """
        row = {**asdict(answer), "tool_uses": json.dumps([asdict(use) for use in answer.tool_uses])}
        self._db.execute(_SAID, (message, extra, *(row[name] for name in _ANSWER)))

    def finish(self, done: Answered) -> None:
        """Writes down how a message ended. What its agents said has been written before."""
        self._db.execute(
            "UPDATE messages SET status=?, answer=?, aggregated_by=?, took_s=?, error=?, events=? WHERE id=?",
            (done.status, done.answer, done.aggregated_by, done.took_s, done.error, json.dumps(done.events), done.id),
        )

    def change(self, *, by: str, agent: str, what: str, why: str, prompt: str | None = None) -> None:
        """Writes down that an agent was paused, unpaused, or given another prompt."""
        self._db.execute(
            "INSERT INTO changes (conversation, at, by, agent, what, prompt, why) VALUES (?,?,?,?,?,?,?)",
            (self.conversation, self._clock(), by, agent, what, prompt, why),
        )

    def begin_conversation(self) -> int:
        """Begins a new conversation: what was said before is kept, and not told to the agents any more."""
        if self._one("SELECT count(*) FROM messages WHERE conversation = ?", (self.conversation,)):
            self.conversation += 1
        return self.conversation

    # ---- reading

    def messages(self, *, last: int | None = None, after: int = 0) -> list[Answered]:
        """Messages with what was said to them, oldest first.

        Args:
            last: So many, the latest ones; None: all.
            after: Those with a number above this.
        """
        rows = self._db.execute(_MESSAGES, (after, -1 if last is None else last)).fetchall()
        return [self._whole(row) for row in reversed(rows)]

    def remembered(self, last: int) -> list[Answered]:
        """The latest messages of this conversation that were answered, oldest first; batches are no part of it."""
        rows = self._db.execute(_REMEMBERED, (self.conversation, last)).fetchall()
        return [self._whole(row) for row in reversed(rows)]

    def _whole(self, row: Iterable[Any]) -> Answered:
        number, text, status, answer, how, asked_at, took_s, batch, error, events = row
        told = self._db.execute(_ANSWERS, (number,)).fetchall()
        answers = [(bool(extra), _answer(dict(zip(_ANSWER, values, strict=True)))) for extra, *values in told]
        return Answered(
            id=number,
            text=text,
            status=status,
            answer=answer,
            aggregated_by=how,
            answers=tuple(one for extra, one in answers if not extra),
            asked_at=asked_at,
            took_s=took_s,
            batch=batch,
            error=error,
            extra=tuple(one for extra, one in answers if extra),
            events=tuple(json.loads(events)),
        )

    def reusable(self, key: str) -> AgentAnswer | None:
        """The latest answer to exactly the same, by an agent with the same settings."""
        row = self._db.execute(_REUSABLE, (key,)).fetchone()
        return None if row is None else _answer(dict(zip(_ANSWER, row, strict=True)))

    def changes(self) -> list[tuple[str, str, str | None]]:
        """What was done to agents in this conversation, oldest first: agent, what, prompt."""
        found: list[tuple[str, str, str | None]] = self._db.execute(
            "SELECT agent, what, prompt FROM changes WHERE conversation = ? ORDER BY id", (self.conversation,)
        ).fetchall()
        return found

    def typed(self, last: int) -> list[str]:
        """What was typed lately, oldest first; no batches."""
        rows = self._db.execute("SELECT text FROM messages WHERE batch IS NULL ORDER BY id DESC LIMIT ?", (last,))
        return [text for (text,) in rows.fetchall()][::-1]

    def last(self) -> int:
        """Number of the latest message; 0 if there is none."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM messages"))

    def next_batch(self) -> int:
        """Number of the next batch."""
        return int(self._one("SELECT coalesce(max(batch), 0) + 1 FROM messages"))

    def close(self) -> None:
        """Closes it. May be called twice."""
        with suppress(sqlite3.Error):
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _answer(row: Mapping[str, Any]) -> AgentAnswer:
    made = AgentAnswer(**{**row, "tool_uses": (), "reused": bool(row["reused"])})
    return replace(made, tool_uses=tuple(ToolUse(**use) for use in json.loads(row["tool_uses"])))


def _unusable(path: Path, error: sqlite3.Error) -> Problem:
    if "locked" in str(error):
        return Problem("--history", f"{path} is in use by another chat", "End that one, or name another file")
    return Problem("--history", f"{path} cannot be used ({error})", "Name another file")
