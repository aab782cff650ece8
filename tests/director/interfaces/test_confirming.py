"""Questions to a human: the first answer counts, none is a no, and what an agent wrote cannot harm a terminal."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from director.cli.app import app
from director.door import Refused
from director.interfaces.confirming import NOBODY, Answer, Question, Questions

CALL = "0123456789abcdef0123456789abcdef"
OTHER = "f123456789abcdef0123456789abcdef"
EVIL = "\x1b[2J\x1b]0;owned\x07please"

Wait = Callable[[int], Awaitable[None]]


async def ask(questions: Questions, within_s: float = 60.0, call: str = CALL, why: str | None = None) -> Answer:
    return await questions.ask(
        call, agent="alice", client=None, tool="cancel", arguments='{"ids": ["x"]}', why=why, within_s=within_s
    )


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def waiting(questions: Questions, count: int = 1) -> list[Question]:
    while len(found := questions.waiting()) < count:
        await asyncio.sleep(0.01)
    return found


async def test_a_human_says_yes_or_no_and_the_agent_hears_it(tmp_path: Path) -> None:
    questions = Questions(tmp_path / "questions")
    asking = asyncio.create_task(ask(questions, why="it has failed"))
    (question,) = await waiting(questions)
    assert (question.agent, question.tool, question.why) == ("alice", "cancel", "it has failed")
    assert stat.S_IMODE((tmp_path / "questions").stat().st_mode) == 0o700
    Questions(tmp_path / "questions").answer(CALL, Answer(allow=True, by="me", note="go on"))
    assert await asking == Answer(allow=True, by="me", note="go on")
    assert files(tmp_path / "questions") == []


async def test_the_first_answer_counts(tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    asking = asyncio.create_task(ask(questions))
    await waiting(questions)
    questions.answer(CALL, Answer(allow=False, by="first"))
    with pytest.raises(Refused, match="has been answered"):
        questions.answer(CALL, Answer(allow=True, by="second"))
    assert (await asking).by == "first"


async def test_without_an_answer_in_time_it_is_a_no(tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    answer = await ask(questions, within_s=0.05)
    assert (answer.allow, answer.by) == (False, NOBODY)
    assert "nobody answered within 0.05 s" in answer.note
    assert questions.waiting() == []


async def test_an_agent_that_leaves_takes_its_question_with_it(tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    asking = asyncio.create_task(ask(questions))
    await waiting(questions)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert files(tmp_path) == []


@pytest.mark.parametrize("call", ["", "../../etc/passwd", CALL, "a" * 31])
def test_an_answer_to_a_question_that_nobody_asked_is_refused(tmp_path: Path, call: str) -> None:
    with pytest.raises(Refused, match="waits for no answer"):
        Questions(tmp_path).answer(call, Answer(allow=True))


async def run(*words: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["confirm", *words])
    return result.exit_code, result.output


async def test_the_command_lists_what_waits_and_answers_it(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    questions = Questions(tmp_path / "agents" / "questions")
    assert await run(str(tmp_path)) == (0, "no call waits for you\n")
    asking = asyncio.create_task(ask(questions, why=EVIL))
    other = asyncio.create_task(ask(questions, call=OTHER))
    await waiting(questions, 2)
    code, text = await run(str(tmp_path))
    assert code == 0
    assert "alice wants to call cancel" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    code, text = await run(str(tmp_path), "--json")
    assert {one["call"] for one in json.loads(text)["waiting"]} == {CALL, OTHER}
    assert await run(str(tmp_path), CALL[:6], "--yes", "--note", "fine") == (0, f"{CALL} may be made\n")
    assert await run(str(tmp_path), OTHER, "--no") == (0, f"{OTHER} is refused\n")
    assert ((await asking).allow, (await asking).note, (await other).allow) == (True, "fine", False)


@pytest.mark.parametrize(
    "words", [("--yes",), (CALL,), (CALL, "--yes", "--no"), (CALL, "--yes")], ids=["what", "how", "both", "unknown"]
)
async def test_the_command_refuses_half_an_answer(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "run.json").write_text("{}")
    code, _ = await run(str(tmp_path), *words)
    assert code == 2
