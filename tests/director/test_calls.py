"""Calls that nobody waits for any more are made once, remembered for a while, and bounded in number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from director import calls
from director.calls import Calls
from director.door import Refused
from simulations.records import Outcome, Status
from tests.helpers import NOON


def outcome(name: str) -> Outcome:
    return Outcome(
        id=name, key="k", tool="t", tool_version="1", status=Status.OK, inputs={}, director=0, partition=["n"],
        submitted_at=NOON, finished_at=NOON,
    )  # fmt: skip


def making(name: str, made: list[str], wait: asyncio.Event | None = None) -> Callable[[], Coroutine[Any, Any, Outcome]]:
    async def make() -> Outcome:
        made.append(name)
        if wait is not None:
            await wait.wait()
        if name == "bad":
            raise RuntimeError("lost")
        return outcome(name)

    return make


async def test_a_call_is_made_once_and_its_outcome_is_remembered() -> None:
    some, made = Calls(), list[str]()
    first = some.begin("a", making("a", made))
    assert some.begin("a", making("a", made)) is first
    assert (await first).id == "a"
    assert (await some.begin("a", making("a", made))).id == "a"
    assert made == ["a"]


async def test_a_call_that_brought_no_outcome_is_made_again() -> None:
    some, made = Calls(), list[str]()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="lost"):
            await some.begin("bad", making("bad", made))
    assert made == ["bad", "bad"]


async def test_open_and_remembered_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_OPEN", 3)
    monkeypatch.setattr(calls, "MOST_REMEMBERED", 2)
    some, made, wait = Calls(), list[str](), asyncio.Event()
    tasks = [some.begin(name, making(name, made, wait)) for name in "abc"]
    with pytest.raises(Refused, match="3 are open"):
        some.begin("d", making("d", made, wait))
    wait.set()
    await asyncio.gather(*tasks)
    for name in "def":
        await some.begin(name, making(name, made))
    await some.begin("a", making("a", made))
    assert made == [*"abcdef", "a"]


async def test_closing_waits_for_nothing() -> None:
    some, wait = Calls(), asyncio.Event()
    task = some.begin("a", making("a", [], wait))
    await asyncio.sleep(0)
    await some.close()
    assert task.cancelled()
