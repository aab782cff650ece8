"""The log of what agents asked for: lines of JSON that are only ever added to, each on disk before it counts.

Several processes may write to one log: a lock on the file lets them take turns, and each reads what others have added
before it decides anything.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from simulations.disk import sync_folder

MOST_TEXT = 4_000
"""Longer arguments and reasons are cut, with the hash of the whole: a log is no store of files."""


class Event(enum.StrEnum):
    """What a line tells."""

    ASKED = "asked"
    ANSWERED = "answered"
    ENDED = "ended"
    OUTCOMES = "outcomes"
    TOKENS = "tokens"


class AuditLine(BaseModel):
    """One line of the log. What has no meaning for its event is left out of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime = Field(description="When it was written (UTC).")
    event: Event = Field(
        description="asked: an agent wants to make a call. answered: a human said whether it may, or did not in time. "
        "ended: what came of the call. outcomes: Requests of earlier calls have ended. tokens: what a model used."
    )
    call: str = Field(description="Names the call, in all of its lines.")
    agent: str = Field(description="Who asked.")
    face: str | None = Field(default=None, description="By which way in: python, langchain, mcp-stdio or mcp-http.")
    client: str | None = Field(default=None, description="What the agent's program calls itself. It may lie.")
    tool: str | None = Field(default=None, description="Name of the Tool or action.")
    arguments: str | None = Field(default=None, description="Its inputs, as JSON; cut if they are long.")
    why: str | None = Field(default=None, description="The reason that the agent gave.")
    decision: str | None = Field(default=None, description="allowed, to_confirm or refused.")
    by: str | None = Field(default=None, description="Of answered: which human, and how; or nobody.")
    status: str | None = Field(default=None, description="Of ended: the answer's status.")
    statuses: dict[str, str] = Field(default={}, description="Of outcomes: how each Request ended.")
    ids: list[str] = Field(default=[], description="Of asked: the Requests that the call hands over.")
    problems: list[str] = Field(default=[], description="Why it was refused, or what was wrong.")
    node_hours: dict[str, float] = Field(default={}, description="Of outcomes: what each Request cost, in node-hours.")
    llm_tokens: int = Field(default=0, ge=0, description="Of tokens: how many.")
    wall_s: float | None = Field(default=None, description="Of ended: how long the call took, in s.")


class AuditError(OSError):
    """The log cannot be written. No call is made then."""


class AuditLog:
    """The end of the log at which a process writes. Its methods block, and may be called from several threads.

    Args:
        path: The file; made with its folder if it is not there, readable by its owner only.
        utc: The time, UTC.
    """

    def __init__(self, path: Path, utc: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self._utc = utc
        self._turn = threading.Lock()
        self._read = 0
        self.damaged = 0

    @contextlib.contextmanager
    def turn(self, take: Callable[[AuditLine], None]) -> Iterator[Callable[[Sequence[AuditLine]], None]]:
        """Holds the log: nobody else writes until the block ends.

        Args:
            take: Given each line that was added since the last turn, by whomever.

        Yields:
            A function that adds lines and returns when they are on disk; they are given to ``take``, too.

        Raises:
            AuditError: If the log cannot be read or written.
        """
        with self._turn:
            try:
                with self._locked() as handle:
                    self._catch_up(handle, take)
                    yield lambda lines: self._add(handle, lines, take)
            except AuditError:
                raise
            except OSError as error:
                raise AuditError(
                    error.errno, f"the audit log {self.path} cannot be written ({error.strerror})"
                ) from error

    def line(self, event: Event, call: str, agent: str, **fields: Any) -> AuditLine:
        """A line, at this time."""
        return AuditLine(at=self._utc(), event=event, call=call, agent=agent, **fields)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        new = not self.path.exists()
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if new:
                sync_folder(self.path.parent)
            yield handle
        finally:
            os.close(handle)

    def _catch_up(self, handle: int, take: Callable[[AuditLine], None]) -> None:
        size = os.fstat(handle).st_size
        if size < self._read:
            raise AuditError(0, f"the audit log {self.path} has become shorter: somebody has changed it")
        data = b""
        while len(data) < size - self._read:
            piece = os.pread(handle, size - self._read - len(data), self._read + len(data))
            if not piece:
                break
            data += piece
        if data and not data.endswith(b"\n"):  # its writer was killed, and had not begun the call
            os.write(handle, b"\n")
            data += b"\n"
        self._read += len(data)
        for text in data.splitlines():
            try:
                line = AuditLine.model_validate_json(text)
            except ValidationError:
                self.damaged += bool(text.strip())
            else:
                take(line)

    def _add(self, handle: int, lines: Sequence[AuditLine], take: Callable[[AuditLine], None]) -> None:
        if not lines:
            return
        data = b"".join(line.model_dump_json(exclude_defaults=True).encode() + b"\n" for line in lines)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
        self._read += len(data)
        for line in lines:
            take(line)


def shown_arguments(arguments: Mapping[str, Any]) -> str:
    """Inputs as a log has them. Pure."""
    try:
        text = json.dumps(arguments, sort_keys=True, ensure_ascii=True, default=repr)
    except (TypeError, ValueError, RecursionError):
        text = "(no JSON)"
    return cut(text)


def cut(text: str) -> str:
    """A text of at most some thousand characters; what is cut can be told by the hash of the whole. Pure."""
    if len(text) <= MOST_TEXT:
        return text
    whole = sha256(text.encode(errors="replace")).hexdigest()
    return f"{text[:MOST_TEXT]}… ({len(text)} characters, SHA-256 {whole})"
