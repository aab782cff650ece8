"""A Director that is killed at any write of its ledger, and a disk that loses its power there."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from director.ledger import Entry, SqliteLedger, mark_of
from simulations.records import Outcome
from tests.faults.one_life import (
    AGAIN,
    ENDLESS,
    FAILED,
    LOST_ALWAYS,
    LOST_ONCE,
    NODE_LOST,
    OK,
    PAUSED,
    OneLife,
    entries_of,
)
from tests.faults.tracing import OnDisk, Op, after_a_cut, killing, read_recording, recording
from tests.faults.world import ALL, FAST, Replay

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 2
MOST_POINTS = 1000


def request(name: str, kind: int, which: int, **more: Any) -> dict[str, Any]:
    return {"id": name, "tool": "mock_md", "inputs": {"duration_s": 0.0, "seed": 100 * kind + which}} | more


# The life before has left these: done, never begun, begun and lost, told to be cancelled.
BEFORE = [
    {"submit": [request("b-ok", OK, 1), request("b-endless", ENDLESS, 1), request("b-too", ENDLESS, 2)]},
    {"submit": [request(f"b-{number}", ENDLESS, 10 + number) for number in range(3)]},
]
# One of each kind of turn, and several at once.
COMMANDS = [
    {"submit": [request("ok", OK, 2), request("twin", OK, 2), request("known", OK, 1), request("b-ok", OK, 1)]},
    {"cancel": ["b-endless", "b-too", "b-0", "nobody"]},
    {
        "submit": [
            request(f"n{kind}", kind, 30, priority=kind) for kind in (FAILED, LOST_ONCE, NODE_LOST, PAUSED, AGAIN)
        ]
    },
    {"prioritize": ["b-1", "b-2", "n2"]},
    {"submit": [request("doomed", LOST_ALWAYS, 3), request("late", ENDLESS, 4, timeout_s=3.0)]},
    {"note": "nodes"},
    {"pause": []},
    {"wait": []},
]


@dataclass
class Told:
    """What a Director has told before it ended.

    Attributes:
        acknowledged: Ids of Requests.
        cancelled: Ids of those that were cancelled before they ran.
        published: Outcomes.
        ended: Whether it ended by itself.
    """

    acknowledged: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    published: list[Entry] = field(default_factory=list)
    ended: bool = False

    @classmethod
    def of(cls, answers: Sequence[dict[str, Any]]) -> Told:
        """From its answers."""
        return cls(
            {name for answer in answers for name in answer.get("acknowledged", ())},
            {name for answer in answers for name, what in answer.get("cancel", {}).items() if what == "cancelled"},
            entries_of(answers),
            any("ended" in answer for answer in answers),
        )


def parsed(output: bytes) -> list[dict[str, Any]]:
    """The answers in an output; one that was cut off is none."""
    return [json.loads(line) for line in output[: output.rfind(b"\n") + 1].splitlines()]


def live(ledger: Path, life: int, commands: Iterable[dict[str, Any]], watched: Sequence[str] = ()) -> bytes:
    """Lives one life, under the eyes of strace or not, and returns its output."""
    done = subprocess.run(
        [*watched, sys.executable, "-m", "tests.faults.one_life", str(ledger), str(life)],
        input=b"".join(json.dumps(command).encode() + b"\n" for command in commands),
        capture_output=True,
        cwd=ROOT,
        timeout=600,
    )
    assert done.returncode in (0, -9, 137), done.stderr.decode()[-3000:]
    return done.stdout


def files_of(ledger: Path) -> list[Path]:
    """What a ledger is made of."""
    return [ledger, ledger.with_name(f"{ledger.name}-journal")]


@pytest.fixture
def folder(tmp_path_factory):
    """A folder where syncing takes no time: the files are looked at after the process has ended, not after a crash."""
    made = tmp_path_factory.mktemp("failpoints")
    fast = FAST / made.name if FAST.is_dir() else made
    fast.mkdir(exist_ok=True)
    yield fast
    shutil.rmtree(fast)


@pytest.fixture
def before(folder):
    """A ledger that a life has left without an end, and what that life had told."""
    ledger = folder / "before" / "ledger.sqlite"
    ledger.parent.mkdir()
    told = Told.of(parsed(live(ledger, 1, BEFORE)))
    return ledger.parent, told


def check(ledger: Path, told: Told, *, finish: bool = True) -> dict[str, str]:
    """Looks at a ledger after a crash, as the next life does; lives that, and looks again.

    Returns:
        How each Request ended.
    """
    with sqlite3.connect(ledger) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    first = _read(ledger, told)
    if not finish:
        return {}
    asyncio.run(_finish(ledger))
    last = _read(ledger, told)
    assert last[: len(first)] == first
    outcomes = {entry.id: Outcome.model_validate_json(entry.body) for entry in last}
    assert told.acknowledged <= outcomes.keys(), f"lost: {told.acknowledged - outcomes.keys()}"
    return {name: outcome.status.value for name, outcome in outcomes.items()}


def _read(ledger: Path, told: Told) -> list[Entry]:
    reader = SqliteLedger(ledger)
    try:
        assert reader.known(sorted(told.acknowledged)) == told.acknowledged, "an acknowledged Request is not there"
        entries = reader.page(0, ALL)
        assert entries[: len(told.published)] == told.published, "a published Outcome is another one, or is not there"
        outcomes = {entry.id: Outcome.model_validate_json(entry.body) for entry in entries}
        assert len(outcomes) == len(entries)
        replay = Replay(reader.events(0, ALL))
        replay.equals(reader, entries, outcomes)
        assert told.cancelled <= replay.cancelled
        return entries
    finally:
        reader.close()


async def _finish(ledger: Path) -> None:
    life = OneLife(ledger, 1000)
    await life.begin()
    try:
        await life.finish()
    finally:
        await life.end()


def kill_at(number: int, template: Path | None, told_before: Told, scratch: Path) -> bool:
    """Kills a Director at its Nth write, and checks what it leaves. Says whether it was killed."""
    here = scratch / f"{number}"
    if template is None:
        here.mkdir(parents=True)
    else:
        shutil.copytree(template, here)
    ledger = here / "ledger.sqlite"
    life, commands = (1, COMMANDS[:1]) if template is None else (2, COMMANDS)
    mark = mark_of(ledger)
    watched = killing([*files_of(ledger), mark, mark.with_name(f"{mark.name}.{life}.partial")], number, here / "strace")
    told = Told.of(parsed(live(ledger, life, commands, watched)))
    told.acknowledged |= told_before.acknowledged
    try:
        check(ledger, told)
    except Exception as error:
        raise AssertionError(f"after a kill at write {number}: {error!r}") from error
    shutil.rmtree(here)
    return not told.ended


def kill_everywhere(template: Path | None, told: Told, scratch: Path) -> int:
    """Kills at each write until there are no more. Returns how many there were."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(1, MOST_POINTS, 2 * AT_ONCE):
            numbers = range(first, first + 2 * AT_ONCE)
            killed = list(pool.map(lambda number: kill_at(number, template, told, scratch), numbers))
            if not all(killed):
                return first - 1 + sum(killed)
    raise AssertionError(f"more than {MOST_POINTS} writes")


@pytest.mark.timeout(3600)
def test_a_director_killed_at_any_write_of_a_new_ledger_loses_and_doubles_nothing(folder, record_property):
    points = kill_everywhere(None, Told(), folder / "points")
    record_property("table", f"kill -9 at each write of a new ledger: {points} writes; lost 0, doubled 0")
    assert points >= 30


@pytest.mark.timeout(3600)
def test_a_director_killed_at_any_write_of_its_second_life_loses_and_doubles_nothing(folder, before, record_property):
    template, told = before
    points = kill_everywhere(template, told, folder / "points")
    record_property("table", f"kill -9 at each write of a second life: {points} writes; lost 0, doubled 0")
    assert points >= 60


def test_all_kinds_of_ends_come_about_if_nobody_is_killed(folder, before):
    template, told = before
    ledger = template / "ledger.sqlite"
    now = Told.of(parsed(live(ledger, 2, COMMANDS)))
    assert now.ended
    assert now.cancelled >= {"b-0"} or told.acknowledged
    ended = check(ledger, now)
    assert (ended["ok"], ended["twin"], ended["known"], ended["n1"]) == ("ok", "ok", "ok", "failed")
    assert {ended[f"n{kind}"] for kind in (LOST_ONCE, NODE_LOST, PAUSED, AGAIN)} == {"ok"}
    assert (ended["doomed"], ended["b-endless"]) == ("failed", "cancelled")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("new", [True, False], ids=["a new ledger", "a second life"])
def test_a_power_cut_between_any_two_writes_leaves_what_was_acknowledged_and_published(
    folder, before, new, record_property
):
    template, told = before
    ledger = template / "ledger.sqlite"
    if new:
        shutil.rmtree(template)
        template.mkdir()
        told = Told()
    sure = {path: OnDisk(path.read_bytes() if path.exists() else b"") for path in files_of(ledger)}
    answers = folder / "answers"
    with answers.open("wb") as output:
        watched = recording([*files_of(ledger), answers], folder / "strace")
        done = subprocess.run(
            [*watched, sys.executable, "-m", "tests.faults.one_life", str(ledger), "1" if new else "2"],
            input=b"".join(json.dumps(command).encode() + b"\n" for command in COMMANDS),
            stdout=output,
            cwd=ROOT,
            timeout=600,
        )
    assert done.returncode == 0
    ops = read_recording(folder / "strace")
    assert b"".join(op.data for op in ops if op.path == answers) == answers.read_bytes()
    cuts = cut_everywhere(ops, sure, answers, told.acknowledged, folder / "cut")
    which = "a new ledger" if new else "a second life"
    record_property("table", f"power cuts between any two writes of {which}: {cuts}; lost 0, doubled 0")
    assert cuts > 60


def cut_everywhere(
    ops: Sequence[Op], files: dict[Path, OnDisk], answers: Path, acknowledged: set[str], here: Path
) -> int:
    """Cuts the power after each operation, in several ways, and checks what is left. Returns how often."""
    dice, output, cuts = random.Random(1), b"", 0
    names = {path: path.name for path in files}
    for number, op in enumerate(ops, 1):
        if op.path == answers:
            output += op.data
            continue
        files[op.path].do(op)
        told = Told.of(parsed(output))
        told.acknowledged |= acknowledged
        for how, contents in after_a_cut(files, dice):
            here.mkdir()
            for path, content in contents.items():
                (here / names[path]).write_bytes(content)
            cuts += 1
            try:
                check(here / "ledger.sqlite", told, finish=how == "half of the last" and number % 4 == 0)
            except Exception as error:
                raise AssertionError(
                    f"after operation {number} ({op.call} of {op.path.name}), {how}: {error!r}"
                ) from error
            shutil.rmtree(here)
    return cuts
