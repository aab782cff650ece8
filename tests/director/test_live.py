from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from rich.console import Console, RenderableType

from director.live import FleetView, LiveView, PartitionView, outcome_table, plain_line, render, short_duration
from director.report.terminal import speed
from director.status_view import status_view
from director.totals import Totals
from director.view import accepted, fleet_view, total_view
from simulations.records import ErrorInfo, Outcome, Status

T0 = datetime(2026, 11, 21, tzinfo=UTC)


def part(index: int = 0, **more: Any) -> PartitionView:
    fields: dict[str, Any] = {
        "hosts": ("local-0", "local-1"),
        "state": "up",
        "workers_up": 4,
        "workers": 4,
        "queued": 12,
        "running": 4,
        "done": 40,
        "failed": 1,
        "ns_per_day": 1234.5,
        "eta_s": 755.0,
    }
    return PartitionView(index=index, **{**fields, **more})


def fleet(*parts: PartitionView, elapsed_s: float = 65.0) -> FleetView:
    return FleetView(parts, sum(p.queued + p.running + p.done for p in parts), elapsed_s)


LARGE = fleet(
    part(),
    part(1, hosts=tuple(f"nid{i:06}" for i in range(1, 999, 2)), workers_up=9_990, workers=10_000, queued=1_000_000),
    part(2, done=20_000, failed=19_999, ns_per_day=98_765_432.1, eta_s=9_999_999),
    part(3, state="lost", ns_per_day=None, eta_s=None),
    part(4, state="starting", workers_up=0, done=0, failed=0),
    elapsed_s=1e6,
)


def shown(renderable: RenderableType, width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(renderable)
    return console.export_text().splitlines()


def outcome(name: str, host: str | None = "n0", **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "key": "k",
        "tool": "md",
        "tool_version": "1",
        "status": Status.OK,
        "inputs": {},
        "result": {
            "ns_per_day": 512.3,
            "potential_energy_kj_mol": {"mean": -1250.34, "std": 28.4},
            "temperature_k": {"mean": 299.8, "std": 9.13},
            "rmsd_nm": 0.1512,
        },
        "director": 0,
        "partition": ["n0"],
        "submitted_at": T0,
        "finished_at": T0,
    }
    return Outcome.model_validate({"id": name, "host": host, **fields, **more})


class TestRender:
    @pytest.mark.parametrize("width", [80, 100, 120])
    def test_one_line_a_partition_and_none_too_long(self, width: int) -> None:
        lines = shown(render(LARGE, 0.0), width)
        assert len(lines) == 1 + len(LARGE.partitions) + 1
        assert max(map(len, lines)) <= width

    def test_shows_counts_speed_and_time_left(self) -> None:
        line = shown(render(fleet(part()), 0.0), 80)[1]
        assert line.split()[:3] == ["D0", "local-[0-1]", "4/4"]
        assert line.split()[-6:] == ["4", "12", "40", "1", "1,234", "12m35s"]

    def test_the_last_line_adds_up(self) -> None:
        last = shown(render(fleet(part(), part(1, eta_s=30.0)), 0.0), 80)[-1]
        assert "1m05s" in last
        assert last.split()[-6:] == ["8", "24", "80", "2", "2,469", "12m35s"]

    def test_a_state_other_than_up_is_said(self) -> None:
        lines = shown(render(LARGE, 0.0), 80)
        assert "lost" in lines[4]
        assert "starting" in lines[5]

    def test_many_partitions_keep_the_totals_in_sight(self) -> None:
        lines = shown(render(fleet(*(part(i) for i in range(64))), 0.0), 80)
        assert len(lines) == 19
        assert "… 48 more" in lines[-2]
        assert "2,560" in lines[-1]

    def test_says_how_busy_workers_were_and_what_was_lost_where_that_is_known(self) -> None:
        busy = part(worker_s=1000.0, run_s=870.0, lost_s=130.0)
        lines = shown(render(fleet(busy, part(1)), 0.0), 80)
        assert lines[0].split()[-3:] == ["util", "ns/day", "ETA"]
        assert lines[1].split()[-3:] == ["87%", "1,234", "12m35s"]
        assert lines[2].split()[-3] == "–"
        assert lines[3].split()[-3] == "87%"
        assert lines[4].strip() == "2m10s of work lost"
        assert max(map(len, lines)) <= 80

    def test_says_when_the_job_ends_and_why_requests_wait(self) -> None:
        view = replace(fleet(part()), left_s=75.0, waiting={"no time left before the walltime": 12})
        text = " ".join(" ".join(shown(render(view, 0.0), 80)).split())
        assert "the job ends: what runs is asked to save and stop in 1m15s" in text
        assert "12 wait: no time left before the walltime" in text
        over = replace(fleet(part(queued=0, running=0)), left_s=75.0)
        assert "the job ends" not in plain_line(over)

    def test_nothing_yet_is_no_error(self) -> None:
        assert len(shown(render(FleetView((), 0, 0.0), 0.0), 80)) == 2

    def test_the_spinner_moves_with_the_clock(self) -> None:
        assert shown(render(LARGE, 0.0), 80)[-1] != shown(render(LARGE, 0.2), 80)[-1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestLiveView:
    @staticmethod
    def plain(now: Callable[[], float]) -> tuple[io.StringIO, LiveView]:
        stream = io.StringIO()
        return stream, LiveView(Console(file=stream, force_terminal=False, width=80), now, period_s=5.0)

    def test_without_a_terminal_writes_a_line_now_and_then_if_something_changed(self) -> None:
        now = 0.0
        stream, view = self.plain(lambda: now)
        with view:
            view.update(fleet(part()))
            now = 1.0
            view.update(fleet(part(done=41)))  # too soon
            now = 6.0
            view.update(fleet(part(done=41)))
            now = 60.0
            view.update(fleet(part(done=41, eta_s=3.0), elapsed_s=99))  # only times differ
            view.update(fleet(part(done=42)))
            view.update(fleet(part(done=43)))  # too soon, but the last
        lines = stream.getvalue().splitlines()
        assert [line.split()[1].partition("/")[0] for line in lines] == ["40", "41", "42", "43"]
        assert "\x1b" not in stream.getvalue()
        assert stream.getvalue().replace("\n", "").isprintable()

    def test_a_pipe_stays_plain_though_colour_is_forced(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        with LiveView() as view:
            view.update(LARGE)
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err == plain_line(LARGE) + "\n"

    def test_on_a_terminal_redraws_in_place_and_leaves_stdout_alone(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TERM", "xterm")
        stream = Terminal()
        with LiveView(Console(file=stream, force_terminal=True, width=80), lambda: 0.0) as view:
            view.update(fleet(part()))
            sys.stdout.write('{"id": "a"}\n')
            view.update(fleet(part(done=41)))
        assert "\x1b[" in stream.getvalue()
        assert '{"id"' not in stream.getvalue()
        assert capsys.readouterr().out == '{"id": "a"}\n'

    def test_the_plain_line_names_what_is_wrong(self) -> None:
        text = plain_line(fleet(part(), part(1, state="lost")))
        assert text.startswith("[1m05s] 80/112 done, 2 failed; 8 running, 24 queued; workers 8/8; 2,469 ns/day")
        assert text.endswith("Director 1 lost")

    def test_the_plain_line_says_how_busy_workers_were_and_what_was_lost(self) -> None:
        text = plain_line(fleet(part(worker_s=100.0, run_s=50.0, lost_s=7.0), part(1, worker_s=300.0, run_s=50.0)))
        assert "ns/day; utilization 25%; ETA 12m35s; 7s of work lost" in text


class TestFleetView:
    STATUS: ClassVar[dict[str, Any]] = {"director": 0, "partition": ["n0"], "state": "paused", "queued": 3}

    def test_reads_what_a_director_says(self) -> None:
        accounting = Totals(worker_s=10.0, run_s=5.0, lost_s=1.0).model_dump(mode="json")
        status = self.STATUS | {
            "accounting": accounting,
            "walltime": {"deadline": "x", "reserve_s": 10.0, "left_s": 60.0},
            "waiting": {"no free worker": 2, "to be tried again": 1},
        }
        other = self.STATUS | {"director": 1, "walltime": {"left_s": 30.0}, "waiting": {"to be tried again": 4}}
        view = fleet_view([status, other], total=accepted([status, other]), elapsed_s=1.0)
        assert (view.total, view.left_s, view.waiting) == (6, 30.0, {"to be tried again": 5})
        assert (view.partitions[0].state, view.partitions[0].utilization, view.partitions[0].lost_s) == (
            "paused",
            0.5,
            1.0,
        )
        assert total_view(view).utilization == 0.5

    def test_a_director_of_another_version_is_no_error(self) -> None:
        status = self.STATUS | {"state": "dreaming", "accounting": {"run_s": "much"}, "walltime": None, "waiting": None}
        view = fleet_view([status], total=3, elapsed_s=1.0)
        assert (view.partitions[0].state, view.partitions[0].utilization) == ("lost", None)


class TestStatusView:
    def test_says_how_fast_what_was(self) -> None:
        rate = {"tool": "md", "size": "ala", "accelerator": "", "unit": "ns", "amount_per_day": 123.4, "n": 7}
        director = {"director": 0, "partition": ["n0"], "state": "up", "queued": 0, "running": 0, "finished": {}}
        director |= {"rates": [rate | {"startup_s": 12.0, "whole_s": 90.0}]}
        document = {"run_id": "r", "open": True, "closed_at": None, "directors": [director]}
        lines = shown(status_view(document, elapsed_s=1.0), 100)
        assert lines[-1].split() == ["0", "md", "ala", "–", "123.4", "ns/d", "12s", "1m30s", "7"]


class TestOutcomeTable:
    def test_by_node_with_units_and_spread(self) -> None:
        lines = shown(outcome_table([outcome("b", "n10"), outcome("a", "n9")]), 80)
        assert lines[0].split() == [*("id", "node", "status", "T", "(K)", "Epot", "(kJ/mol)", "RMSD", "(nm)", "ns/day")]
        assert lines[1].split() == ["a", "n9", "ok", "299.8", "−1,250", "±", "28", "0.151", "512.3"]
        assert lines[2].split()[1] == "n10"

    def test_a_failed_one_says_why_in_plain_text(self) -> None:
        error = ErrorInfo(type="E", message="[bold]NaN[/bold] at \x1b[31mstep 3", hint="h")
        bad = outcome("c", None, status=Status.FAILED, result=None, error=error)
        lines = shown(outcome_table([bad, outcome("a")]), 80)
        assert lines[2].rstrip().split(maxsplit=3) == ["c", "–", "failed", "[bold]NaN[/bold] at [31mstep 3"]
        assert max(map(len, lines)) <= 80

    def test_other_tools_show_their_result(self) -> None:
        assert (
            "ionization_energy_ev 12.61"
            in shown(outcome_table([outcome("a", tool="ie", result={"ionization_energy_ev": 12.61})]), 80)[1]
        )

    def test_attempts_and_reused_results_are_named_where_there_are_any(self) -> None:
        lines = shown(outcome_table([outcome("a", attempts=3), outcome("b", attempts=0, reused_from="a")]), 90)
        assert lines[0].split()[:4] == ["id", "node", "status", "attempts"]
        assert [line.split()[3:5] for line in lines[1:]] == [["3", "299.8"], ["as", "a"]]

    def test_is_bounded(self) -> None:
        lines = shown(outcome_table([outcome(f"o{i}") for i in range(100)]), 80)
        assert len(lines) == 42
        assert lines[-1].strip() == "… and 60 more"

    def test_nothing_is_no_error(self) -> None:
        assert shown(outcome_table([]), 80)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (-1, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3725, "1h02m"), (360_000, "4d04h"), (1e7, "115d17h")],
)
def test_short_durations(seconds: float | None, text: str) -> None:
    assert short_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (2.5, "2.50"), (512.34, "512.3"), (99_999, "99,999"), (123_456, "123k"), (9.9e7, "99M")],
)
def test_speeds_fit_their_column(value: float | None, text: str) -> None:
    assert speed(value) == text
