"""Questions to a human: whether a call of an agent may be made. They lie in a folder, one file for each.

Who answers first has answered: an answer is a file that can be made once. Time that runs out is an answer, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from director.door import Problem, Refused

CALL = re.compile(r"[0-9a-f]{32}")
LOOK_S = 0.2
MAX_BYTES = 100_000
NOBODY = "nobody"

ModelT = TypeVar("ModelT", bound=BaseModel)


class Question(BaseModel):
    """What a human is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    call: str = Field(pattern=CALL.pattern, description="Names the call.")
    agent: str = Field(description="Who asks.")
    client: str | None = Field(default=None, description="What the agent's program calls itself.")
    tool: str = Field(description="What it wants to call.")
    arguments: str = Field(description="With which inputs, as JSON.")
    why: str | None = Field(default=None, description="The agent's reason.")
    asked_at: AwareDatetime = Field(description="Since when it waits (UTC).")
    until: AwareDatetime = Field(description="When it is refused without an answer (UTC).")


class Answer(BaseModel):
    """What a human answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: bool = Field(strict=True, description="Whether the call may be made.")
    by: str = Field(default=NOBODY, max_length=200, description="Who answered, and by which way.")
    note: str = Field(default="", max_length=1000, description="What the agent is told beside that.")


class Questions:
    """The folder of questions of a run.

    Args:
        folder: Where they are; made with the first one, readable by its owner only.
        utc: The time, UTC.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        folder: Path,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._utc = utc
        self._clock = clock

    async def ask(
        self,
        call: str,
        *,
        agent: str,
        client: str | None,
        tool: str,
        arguments: str,
        why: str | None,
        within_s: float,
    ) -> Answer:
        """Asks, and waits for the answer; none in time is a no.

        Args:
            call: Names the call.
            agent: Who asks.
            client: What its program calls itself.
            tool: What it wants to call.
            arguments: With which inputs.
            why: Its reason.
            within_s: How long to wait, in s.

        Raises:
            OSError: If the question cannot be written.
        """
        asked = self._utc()
        until = asked + timedelta(seconds=within_s)
        question = Question(
            call=call, agent=agent, client=client, tool=tool, arguments=arguments, why=why, asked_at=asked, until=until
        )
        give_up = self._clock() + within_s
        await asyncio.to_thread(self._put, question)
        try:
            while (found := await asyncio.to_thread(self._answer, call)) is None:
                if self._clock() >= give_up:
                    late = Answer(allow=False, note=f"nobody answered within {within_s:g} s")
                    with contextlib.suppress(Refused):  # a human answered in this very moment: that counts
                        await asyncio.to_thread(self.answer, call, late)
                    continue
                await asyncio.sleep(LOOK_S)
            return found
        finally:
            self._question_file(call).unlink(missing_ok=True)
            self._answer_file(call).unlink(missing_ok=True)

    def waiting(self) -> list[Question]:
        """The questions that wait for an answer, the oldest first. Those of a process that was killed are left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.suffix == ".json" and CALL.fullmatch(path.stem) and not self._answer_file(path.stem).exists():
                    question = _read(path, Question)
                    if question is not None and question.until > self._utc():
                        found.append(question)
        return sorted(found, key=lambda question: (question.asked_at, question.call))

    def answer(self, call: str, answer: Answer) -> None:
        """Answers a question.

        Raises:
            Refused: If nobody asks it, or it has been answered.
        """
        if not CALL.fullmatch(call) or not self._question_file(call).is_file():
            raise Refused([Problem("CALL", f"{call!r} waits for no answer", "See what does: director confirm RUN")])
        partial = self.folder / f".{call}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            _write(partial, answer)
            os.link(partial, self._answer_file(call))  # all of it is there at once, and only for the first one
        except FileExistsError:
            hint = "The first answer counts"
            raise Refused([Problem("CALL", f"{call} has been answered, or its time is over", hint)]) from None
        finally:
            partial.unlink(missing_ok=True)

    def _put(self, question: Question) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.folder / f".{question.call}.new"
        _write(partial, question)
        partial.rename(self._question_file(question.call))

    def _answer(self, call: str) -> Answer | None:
        path = self._answer_file(call)
        if not path.exists():
            return None
        return _read(path, Answer) or Answer(allow=False, note="the answer cannot be read")

    def _question_file(self, call: str) -> Path:
        return self.folder / f"{call}.json"

    def _answer_file(self, call: str) -> Path:
        return self.folder / f"{call}.answer"


def _write(path: Path, model: BaseModel) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(model.model_dump_json())


def _read(path: Path, kind: type[ModelT]) -> ModelT | None:
    try:
        with path.open("rb") as stream:
            return kind.model_validate_json(stream.read(MAX_BYTES))
    except (OSError, ValidationError):
        return None
