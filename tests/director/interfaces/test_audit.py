"""The log of what agents do: only added to, by several processes in turn, and never silently incomplete."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from director.interfaces.audit import MOST_TEXT, AuditError, AuditLine, AuditLog, Event, cut, shown_arguments


def add(log: AuditLog, call: str, seen: list[AuditLine] | None = None) -> None:
    with log.turn((seen if seen is not None else []).append) as write:
        write([log.line(Event.ASKED, call, "alice", tool="md", decision="allowed", ids=[call])])


def test_a_line_has_what_was_asked_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "agents" / "audit.jsonl")
    add(log, "c1")
    (document,) = map(json.loads, log.path.read_text().splitlines())
    assert (document["event"], document["agent"], document["tool"]) == ("asked", "alice", "md")
    assert document["at"].endswith("Z")
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700


def test_two_writers_see_each_others_lines_before_they_write_their_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    seen: dict[int, list[AuditLine]] = {0: [], 1: []}

    def write(which: int) -> None:
        log = AuditLog(path)
        for number in range(25):
            add(log, f"{which}.{number}", seen[which])
        with log.turn(seen[which].append):
            pass

    threads = [threading.Thread(target=write, args=(which,)) for which in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = AuditLog(path)
    every: list[AuditLine] = []
    with late.turn(every.append):
        pass
    order = [line.call for line in every]
    assert len(order) == len(set(order)) == 50
    for lines in seen.values():
        assert [line.call for line in lines] == order[: len(lines)]


def test_a_line_that_was_cut_off_by_a_kill_is_left_out_and_the_next_ones_are_whole(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    add(log, "c1")
    with log.path.open("ab") as stream:
        stream.write(b'{"at":"2026-01-01T12:00:00Z","event":"as')
    again = AuditLog(log.path)
    seen: list[AuditLine] = []
    add(again, "c2", seen)
    assert [line.call for line in seen] == ["c1", "c2"]
    assert again.damaged == 1
    assert [json.loads(text)["call"] for text in log.path.read_text().splitlines() if "call" in text] == ["c1", "c2"]


def test_a_log_that_has_become_shorter_is_not_written_on(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    add(log, "c1")
    os.truncate(log.path, 5)
    with pytest.raises(AuditError, match="somebody has changed it"):
        add(log, "c2")


def test_a_log_that_cannot_be_written_is_an_error_and_a_link_in_its_place_too(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(AuditError, match="cannot be written"):
        add(AuditLog(tmp_path / "folder"), "c1")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditError, match="cannot be written"):
        add(AuditLog(tmp_path / "link"), "c1")
    assert not (tmp_path / "elsewhere").exists()


def test_long_arguments_are_cut_and_can_be_told_by_their_hash() -> None:
    one, other = (cut(f"{'x' * MOST_TEXT}{end}") for end in "ab")
    assert one != other
    assert len(one) < MOST_TEXT + 200
    assert cut("short") == "short"
    assert shown_arguments({"b": 1, "a": {"c": [1]}}) == '{"a": {"c": [1]}, "b": 1}'
    assert "\n" not in shown_arguments({"text": "a\nb"})
