"""Whatever ends a campaign, it goes on to the same trajectory, and evaluates nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import campaigns.record
from campaigns import NotAcceptable
from campaigns.reading import read_campaign
from campaigns.runner import run_campaign
from tests.campaigns.files import TOYS, campaign, workflow
from tests.campaigns.toys import Bench

POLICIES = {
    "stages": workflow(scorer={"_target_": f"{TOYS}.Near"}),
    "in_turn": {"_target_": f"{TOYS}.InTurn", "step": 3},
}
WHERE = ("before", "after", "torn")


class Killed(BaseException):
    """As SIGKILL: nothing after it is done."""


@contextmanager
def killed_at(count: int, where: str) -> Iterator[Callable[[], int]]:
    """Ends the process, so to say, at one of the writes of its record."""
    done = 0
    write, replace = campaigns.record.os.write, campaigns.record.replace_file

    def at(act: Callable[[], Any], torn: Callable[[], Any]) -> Any:
        nonlocal done
        done += 1
        if done == count:
            if where == "after":
                act()
            elif where == "torn":
                torn()
            raise Killed
        if done > count:
            raise Killed
        return act()

    def writing(descriptor: int, body: bytes) -> int:
        return at(lambda: write(descriptor, body), lambda: write(descriptor, body[: len(body) // 2]))

    def replacing(path: Path, parts: Any, partial: Path) -> None:
        at(lambda: replace(path, parts, partial), lambda: partial.write_bytes(b"half of it"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaigns.record.os, "write", writing)
        patch.setattr(campaigns.record, "replace_file", replacing)
        yield lambda: done


def steady(folder: Path) -> list[Any]:
    """All that is in the records but times."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(one) for name, one in value.items() if name not in ("at", "clock_s", "seconds")}
        return [without(one) for one in value] if isinstance(value, list) else value

    files = sorted(folder.glob("episodes/**/record.jsonl"))
    return [[without(json.loads(line)) for line in file.read_text().splitlines()] for file in files]


def wanted(**more: Any) -> Any:
    return campaign(policies=POLICIES, parallel=2, budget={"evaluations": 5}, **more)


def test_a_kill_at_any_write_changes_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    plain = wanted()
    with killed_at(10**9, "after") as count:
        run_campaign(plain, tmp_path / "whole", Bench())
    writes, whole = count(), steady(tmp_path / "whole")
    assert writes > 15
    for number in range(1, writes + 1):
        for where in WHERE:
            folder, keep = tmp_path / f"{number}-{where}", {}
            first = Bench(keep=keep)
            with killed_at(number, where), pytest.raises(Killed):
                run_campaign(plain, folder, first)
            second = Bench(keep=keep)
            run_campaign(plain, folder, second)
            assert steady(folder) == whole, (number, where)
            ran = first.ran + second.ran
            assert len(ran) == len(set(ran)) == 10, (number, where)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(WHERE)), min_size=2, max_size=8))
def test_several_kills_one_after_another_change_nothing(tmp_path_factory: Any, kills: list[tuple[int, str]]) -> None:
    plain = wanted(stop={"successes": 1})
    base = tmp_path_factory.mktemp("kills")
    run_campaign(plain, base / "whole", Bench())
    keep: dict[str, Any] = {}
    ran: list[str] = []
    for number, where in kills:
        bench = Bench(keep=keep)
        with killed_at(number, where), suppress(Killed):
            run_campaign(plain, base / "killed", bench)
        ran += bench.ran
    last = Bench(keep=keep)
    run_campaign(plain, base / "killed", last)
    assert steady(base / "killed") == steady(base / "whole")
    assert len(ran + last.ran) == len(set(ran + last.ran))


def test_an_asynchronous_campaign_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    plain = wanted(mode="asynchronous")
    for number in range(2, 20, 3):
        folder, keep = tmp_path / str(number), {}
        first, second = Bench(keep=keep, last_first=True), Bench(keep=keep, last_first=True)
        with killed_at(number, "after"), pytest.raises(Killed):
            run_campaign(plain, folder, first)
        run_campaign(plain, folder, second)
        ran = first.ran + second.ran
        assert len(ran) == len(set(ran)) == 10
        assert all(len(episode.evaluations) == 5 for episode in read_campaign(folder).episodes)


def test_a_finished_episode_is_skipped(tmp_path: Path) -> None:
    run_campaign(wanted(), tmp_path / "c", Bench())
    again = Bench()
    ended = run_campaign(wanted(), tmp_path / "c", again)
    assert again.ran == []
    assert {end.ended for end in ended.values()} == {"budget"}


def test_another_campaign_in_the_same_folder_is_refused_with_the_difference(tmp_path: Path) -> None:
    run_campaign(wanted(), tmp_path / "c", Bench())
    other = {**POLICIES, "in_turn": {"_target_": f"{TOYS}.InTurn", "step": 4}}
    with pytest.raises(NotAcceptable, match=r"policies\.in_turn\.step: 3 → 4"):
        run_campaign(wanted().model_copy(update={"policies": other}), tmp_path / "c", Bench())


def test_where_it_runs_may_change(tmp_path: Path) -> None:
    run_campaign(wanted(run={"directors": 1}), tmp_path / "c", Bench())
    run_campaign(wanted(run={"directors": 2}, at_once=2), tmp_path / "c", Bench())


def test_a_record_that_lost_lines_is_refused(tmp_path: Path) -> None:
    with killed_at(9, "after"), pytest.raises(Killed):
        run_campaign(wanted(), tmp_path / "c", Bench())
    file = tmp_path / "c/episodes/default/stages/0001/record.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2]))
    with pytest.raises(NotAcceptable, match="was saved after line"):
        run_campaign(wanted(), tmp_path / "c", Bench())


def test_a_line_that_is_none_is_refused_with_its_number(tmp_path: Path) -> None:
    run_campaign(wanted(), tmp_path / "c", Bench())
    file = tmp_path / "c/episodes/default/stages/0001/record.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], "what is this\n", *lines[2:]]))
    with pytest.raises(NotAcceptable, match=r"record\.jsonl:2"):
        read_campaign(tmp_path / "c")


def test_an_environment_that_changes_its_mind_is_told(tmp_path: Path) -> None:
    plain = campaign(environment={"_target_": f"{TOYS}.Line", "target": 3}, parallel=4)
    with killed_at(6, "after"), pytest.raises(Killed):  # begin, state, decision, and the first of the Outcomes
        run_campaign(plain, tmp_path / "c", Bench())
    file = tmp_path / "c/episodes/default/policy/0001/record.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[-1]["score"] = 12.5
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RuntimeError, match="does not depend on its arguments"):
        run_campaign(plain, tmp_path / "c", Bench())
