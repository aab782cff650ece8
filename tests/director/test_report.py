from __future__ import annotations

import itertools
import math
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.report import DirectorSummary, RunSummaryInput, canvas, figures, timeline, write_report
from director.report.render import build_page
from director.report.rows import choose_rows, common_inputs, make_row, varying_inputs
from director.report.spans import LEAST_GAP_S, Mark, Span, TimeAxis, find_spans
from director.report.summary import bin_means, group_failures, totals, utilization
from director.report.traces import MAX_POINTS, artifact_file, is_inside, read_traces, sample_evenly
from director.report.values import Quantity, brief, clean, compress_hosts, duration, mean_std, number, quantity
from director.totals import Sums, Totals, totals_of
from director.usage import usage_of
from simulations.records import Ending, ErrorInfo, Outcome, Status
from tests.director.test_usage import attempt
from tests.helpers import NOON

T0 = datetime(2026, 11, 21, tzinfo=UTC)
HEADER = (
    "step,time_ps,potential_energy_kj_mol,kinetic_energy_kj_mol,temperature_k,rmsd_nm,radius_of_gyration_nm,ns_per_day"
)


def outcome(
    name: str, start: float | None = 0.0, end: float = 1.0, worker: str | None = "n0/0", **more: Any
) -> Outcome:
    fields: dict[str, Any] = {
        "key": "k",
        "tool": "md",
        "tool_version": "1",
        "status": Status.OK,
        "inputs": {"temperature_k": 300, "seed": 1},
        "result": {
            "simulated_ns": 0.5,
            "ns_per_day": 1234.5,
            "potential_energy_kj_mol": {"mean": -1250.34, "std": 28.4},
            "temperature_k": {"mean": 299.8, "std": 9.13},
            "rmsd_nm": 0.1512,
        },
        "director": 0,
        "partition": ["n0"],
        "host": "n0",
        "worker": worker,
        "attempts": 1,
        "submitted_at": T0,
        "started_at": None if start is None else T0 + timedelta(seconds=start),
        "finished_at": T0 + timedelta(seconds=end),
    }
    return Outcome.model_validate({"id": name, **fields, **more})


def failed(name: str, message: str = "energy became NaN", **more: Any) -> Outcome:
    error = ErrorInfo(type="NotFinite", message=message, hint="use a smaller timestep_fs")
    return outcome(name, **{"status": Status.FAILED, "result": None, "error": error, **more})


def run_of(*workers: int, end: float | None = 100.0) -> RunSummaryInput:
    directors = tuple(DirectorSummary(i, (f"n{i}",), count) for i, count in enumerate(workers))
    return RunSummaryInput("run-1", "A run", T0, None if end is None else T0 + timedelta(seconds=end), directors)


def span(worker: str, start: float, end: float, director: int = 0) -> Span:
    return Span(director, worker, start, end, Mark.OK)


def table(folder: Path, name: str, lines: list[str], header: str = HEADER) -> dict[str, str]:
    path = folder / "director-0" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *lines]))
    return {"state_table": f"director-0/{name}"}


class Page(HTMLParser):
    """What a browser would load, and whether every table header says what it heads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.headers_without_scope = 0
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        self.headers_without_scope += tag == "th" and "scope" not in values
        self.addresses += [values[n] for n in ("src", "href", "xlink:href", "data", "action") if n in values]
        self.ids += [values["id"]] if "id" in values else []

    def handle_data(self, data: str) -> None:
        self.text += data


class TestUtilization:
    def test_matches_a_case_worked_by_hand(self) -> None:
        spans = [span("a", 0, 4), span("b", 2, 6), span("a", 6, 8)]
        curve = utilization(spans, workers=2, end_s=10)
        assert curve.times_s == (0, 2, 4, 6, 8, 10)
        assert curve.busy == (0.5, 1, 0.5, 0.5, 0)
        assert curve.mean == pytest.approx((4 + 4 + 2) / 20)

    def test_overlapping_spans_of_one_worker_count_once(self) -> None:
        assert utilization([span("a", 0, 6), span("a", 4, 8)], workers=1, end_s=10).mean == pytest.approx(0.8)

    def test_workers_of_the_same_name_under_two_directors_are_two(self) -> None:
        assert utilization([span("a", 0, 10), span("a", 0, 10, director=1)], 0, 10).workers == 2

    def test_idle_workers_count(self) -> None:
        assert utilization([span("a", 0, 10)], workers=4, end_s=10).mean == pytest.approx(0.25)

    @pytest.mark.parametrize(("workers", "end_s"), [(0, 10.0), (4, 0.0), (0, 0.0)])
    def test_nothing_to_measure_is_no_error(self, workers: int, end_s: float) -> None:
        assert utilization([], workers, end_s).mean == 0

    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100), st.floats(0, 100)), max_size=20),
        st.integers(0, 4),
        st.floats(0.01, 120),
        st.integers(1, 12),
    )
    @settings(max_examples=150)
    def test_stays_between_0_and_1_and_binning_keeps_the_area(
        self, raw: list[tuple[str, float, float]], workers: int, end_s: float, bins: int
    ) -> None:
        spans = [span(name, min(a, b), max(a, b)) for name, a, b in raw]
        curve = utilization(spans, workers, end_s)
        for drawn in (curve, bin_means(curve, bins)):
            assert all(0 <= value <= 1 for value in drawn.busy)
            assert 0 <= drawn.mean <= 1
            assert list(drawn.times_s) == sorted(drawn.times_s)
            widths = [b - a for a, b in zip(drawn.times_s, drawn.times_s[1:], strict=False)]
            area = sum(w * v for w, v in zip(widths, drawn.busy, strict=True))
            assert area == pytest.approx(curve.mean * end_s, abs=1e-6)


class TestTotals:
    def test_throughput_is_over_the_whole_run(self) -> None:
        found = totals(run_of(1, end=86_400), [outcome("a"), outcome("b"), failed("c")])
        assert found.simulated_ns == pytest.approx(1.0)
        assert found.ns_per_day == pytest.approx(1.0)
        assert found.counts == {Status.OK: 2, Status.FAILED: 1, Status.TIMEOUT: 0, Status.CANCELLED: 0}

    def test_reused_outcomes_add_neither_time_nor_work(self) -> None:
        again = outcome("b", reused_from="a")
        assert totals(run_of(1), [outcome("a"), again]).simulated_ns == pytest.approx(0.5)
        assert find_spans(T0, [again, outcome("c", start=None)]) == []

    def test_a_clock_that_lags_gives_no_negative_time(self) -> None:
        found = find_spans(T0, [outcome("a", start=-5, end=-2)])[0]
        assert (found.start_s, found.end_s) == (0, 0)

    def test_failures_of_one_kind_are_one_group(self) -> None:
        groups = group_failures([failed("a", "NaN at 1"), failed("b", "NaN at 2"), failed("c", error=None)])
        assert [(g.count, g.message) for g in groups] == [(2, "NaN at 1"), (1, "no reason was recorded")]

    def test_throughput_of_several_jobs_leaves_out_the_time_between_them(self) -> None:
        run = run_of(1, end=86_400)
        held = tuple((T0 + timedelta(seconds=a), T0 + timedelta(seconds=b)) for a, b in ((0, 4320), (10_000, 14_320)))
        several = replace(run, directors=(replace(run.directors[0], held=held),))
        found = totals(several, [outcome("a")])
        assert (found.duration_s, found.held_s) == (86_400, 8640)
        assert found.ns_per_day == pytest.approx(5.0)


class TestSpans:
    def test_each_attempt_is_a_bar_and_lost_work_one_of_its_own(self) -> None:
        history = [
            attempt(0, 100, Ending.WORKER_LOST, began=10, saved=70),
            attempt(120, 160, Ending.PAUSED, began=125, on_from=70, saved=160, amount=1, saved_amount=1),
            attempt(200, 300, Ending.FAILED, began=210, on_from=160),
        ]
        found = find_spans(NOON, [failed("a", history=history)])
        assert [(span.start_s, span.end_s, span.mark.value) for span in found] == [
            (0, 70, "interrupted"),
            (70, 100, "lost"),
            (120, 160, "interrupted"),
            (200, 300, "failed"),
        ]
        assert {span.worker for span in found} == {"n0"}

    def test_requests_without_an_outcome_have_bars_too(self) -> None:
        waits = attempt(0, 50, Ending.PAUSED, began=10, saved=50, amount=1, saved_amount=1)
        never = attempt(0, 50, Ending.DIRECTOR_LOST, host=None)
        found = find_spans(NOON, [], [(3, [waits]), (4, [never])])
        assert [(span.director, span.mark) for span in found] == [(3, Mark.INTERRUPTED)]


class TestTimeAxis:
    def test_cuts_out_what_lies_between_two_jobs(self) -> None:
        axis = TimeAxis(10_000, [(0, 1000), (500, 1500), (9000, 9500)])
        assert axis.gaps == [(1500, 9000), (9500, 10_000)]
        assert axis.end_s == 2000
        assert [axis.place(moment) for moment in (0, 1500, 5000, 9000, 9100, 9999)] == [0, 1500, 1500, 1500, 1600, 2000]
        assert axis.seams == [(1500, 7500), (2000, 500)]
        assert axis.shorten([span("a", 1400, 9100)]) == [span("a", 1400, 1600)]

    def test_leaves_short_gaps_and_runs_of_which_nothing_is_known(self) -> None:
        assert TimeAxis(100, [(LEAST_GAP_S - 1, 100)]).gaps == []
        assert TimeAxis(10_000).gaps == []
        assert TimeAxis(10_000).label == "Time since the run began (s)"

    @given(
        st.floats(0, 1e5),
        st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)).map(lambda pair: (min(pair), max(pair))), max_size=6),
        st.lists(st.floats(0, 1e5), min_size=2, max_size=8),
    )
    def test_keeps_the_order_and_the_length_of_what_was_held(
        self, end_s: float, held: list[tuple[float, float]], moments: list[float]
    ) -> None:
        axis = TimeAxis(end_s, [(start, end) for start, end in held if end <= end_s])
        placed = [axis.place(moment) for moment in sorted(min(moment, end_s) for moment in moments)]
        assert all(one <= other + 1e-6 for one, other in itertools.pairwise(placed))
        assert all(-1e-6 <= moment <= axis.end_s + 1e-6 for moment in placed)
        for start, end in held:
            if end <= end_s:
                assert axis.place(end) - axis.place(start) == pytest.approx(end - start, abs=1e-6)


class TestStateTables:
    def test_empty_cells_become_gaps_and_torn_lines_are_noted(self, tmp_path: Path) -> None:
        files = table(tmp_path, "s.csv", ["1,0.5,-10,5,300,,0.6,", "2,1.0,-11,5,301,0.1,0.6,9", "3,1.5,-1"])
        found = read_traces(tmp_path, [outcome("a", artifacts=files)])
        assert found.traces[0].time_ps == [0.5, 1.0]
        assert math.isnan(found.traces[0].columns["rmsd_nm"][0])
        assert found.notes == ("a: 1 damaged line(s) left out",)

    @pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe garbage", b"a,b\n1,2\n", HEADER.encode()])
    def test_a_damaged_file_is_noted_on_the_page(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "s.csv").write_bytes(content)
        page = build_page(tmp_path, run_of(1), [outcome("bad-one", artifacts={"state_table": "s.csv"})])
        assert "bad-one is not drawn: s.csv h" in page

    def test_a_missing_file_is_noted(self, tmp_path: Path) -> None:
        notes = read_traces(tmp_path, [outcome("a", artifacts={"state_table": "gone.csv"})]).notes
        assert notes == ("a is not drawn: gone.csv is not there",)

    @pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd", "a/../../x", "..\\x", "", "a\nb"])
    def test_paths_out_of_the_run_folder_are_refused(self, tmp_path: Path, path: str) -> None:
        (tmp_path / "secret.csv").write_text(HEADER + "\n1,1,1,1,1,1,1,1")
        run_folder = tmp_path / "run"
        run_folder.mkdir()
        one = outcome("a", artifacts={"state_table": path})
        assert "leads out of the run folder" in read_traces(run_folder, [one]).notes[0]
        row = make_row(one, {})
        assert row.links == []
        assert row.refused == ["state_table"]

    def test_a_link_out_of_the_run_folder_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret.csv").write_text("")
        run_folder = tmp_path / "run"
        run_folder.mkdir()
        (run_folder / "s.csv").symlink_to(tmp_path / "secret.csv")
        assert is_inside("s.csv")
        with pytest.raises(ValueError, match="leads out of the run folder"):
            artifact_file(run_folder, "s.csv")

    def test_long_tables_are_thinned_and_the_page_says_so(self, tmp_path: Path) -> None:
        files = table(tmp_path, "s.csv", [f"{i},{i},-1,1,300,0.1,0.6,9" for i in range(3 * MAX_POINTS)])
        trace = read_traces(tmp_path, [outcome("a", artifacts=files)]).traces[0]
        assert MAX_POINTS / 2 <= len(trace.time_ps) <= MAX_POINTS
        assert trace.stride == 4
        assert "thinned to at most 1,000 points" in build_page(tmp_path, run_of(1), [outcome("a", artifacts=files)])

    def test_many_tables_are_sampled_evenly_and_the_page_says_so(self, tmp_path: Path) -> None:
        many = [
            outcome(
                f"o{i}",
                artifacts=table(tmp_path, f"{i}.csv", [f"1,{i},-1,1,300,,,"]),
                inputs={"temperature_k": i},
            )
            for i in range(60)
        ]
        found = read_traces(tmp_path, many)
        assert (len(found.traces), found.available) == (40, 60)
        assert found.traces == read_traces(tmp_path, many).traces
        page = build_page(tmp_path, run_of(1), many)
        assert "40 simulations, a sample spread evenly over the 60" in page
        assert "Coloured by temperature_k: 0 " in page
        assert "The state tables hold no values of it." in page

    @given(st.integers(0, 300), st.integers(1, 50))
    def test_a_sample_is_bounded_distinct_and_in_order(self, count: int, limit: int) -> None:
        chosen = sample_evenly(count, limit)
        assert len(chosen) == min(count, limit)
        assert chosen == sorted(set(chosen))
        assert all(0 <= i < count for i in chosen)


class TestRows:
    def test_the_table_is_bounded_and_keeps_what_failed(self) -> None:
        many = [outcome(f"o{i}") for i in range(2_500)] + [failed("last")]
        kept = choose_rows(many)
        assert len(kept) == 2_000
        assert kept[-1].id == "last"
        assert kept[0].id == "o0"

    def test_inputs_that_all_share_are_said_once(self) -> None:
        many = [outcome(f"o{t}", inputs={"temperature_k": t, "steps": 5000}) for t in (280, 300)]
        varying = varying_inputs(many)
        assert varying == {"md": ["temperature_k"]}
        assert common_inputs(many, varying) == {"md": [("steps", "5,000")]}
        assert make_row(many[0], varying).inputs == [("temperature_k", "280")]

    def test_numbers_carry_their_spread(self) -> None:
        assert make_row(outcome("a"), {}).numbers == ("1,234", "−1,250 ± 28", "299.8 ± 9.1", "0.151")

    def test_several_attempts_and_what_they_lost_are_said(self) -> None:
        history = [attempt(0, 100, Ending.NODE_LOST, began=10, saved=70), attempt(120, 160, began=125, on_from=70)]
        usage = usage_of(history, NOON, NOON + timedelta(seconds=160), 1)
        row = make_row(outcome("a", history=history, attempts=2, usage=usage), {})
        assert (row.seconds, row.remark) == ("140.0", "2 attempts, 30.0 s lost")
        inexact = history[1].model_copy(update={"course": history[1].course.model_copy(update={"exact": False})})
        assert make_row(outcome("a", history=[inexact], attempts=2), {}).remark == "2 attempts, not continued exactly"

    def test_other_tools_show_their_results(self) -> None:
        row = make_row(outcome("a", tool="ie", result={"ionization_energy_ev": 12.61, "converged": True}), {})
        assert row.numbers is None
        assert row.results == [("ionization_energy_ev", "12.61"), ("converged", "true")]


class TestPage:
    @pytest.fixture
    def mixed(self, tmp_path: Path) -> list[Outcome]:
        files = table(tmp_path, "s.csv", [f"{i},{i},-1,1,300,0.1,0.6,9" for i in range(20)])
        evil = "<script>alert('x')</script>" * 4_000
        return [
            outcome("a", 1, 5, artifacts={**files, "<b>": "javascript:alert(1)"}),
            outcome("b", 5, 9, worker="<script>$x^$</script>/0", inputs={"structure": evil, "<script>": [1]}),
            failed("c", "<script>boom</script>\x1b[31m", start=2, end=2, worker="n0/1"),
            outcome("never", None, 3, None, status=Status.CANCELLED, result=None, host=None),
            outcome("t", 3, 9, worker="n1/0", director=1, status=Status.TIMEOUT, result=None),
            outcome("odd", 3, 4, result={"potential_energy_kj_mol": float("nan"), "n": 10**400, "s": "\ud800"}),
        ]

    def test_holds_what_a_reader_needs_and_loads_nothing(self, tmp_path: Path, mixed: list[Outcome]) -> None:
        before = dict(mpl.rcParams)
        path = write_report(tmp_path, run_of(2, 2), mixed)
        assert path == tmp_path / "report.html"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["director-0", "report.html"]
        html = path.read_text(encoding="utf-8")
        page = Page(html)
        assert "script" not in page.tags
        assert "&lt;script&gt;boom&lt;/script&gt;" in html
        assert "\x1b" not in html
        assert len(html) < 600_000
        relative = [a for a in page.addresses if not a.startswith(("#", "data:"))]
        assert relative == ["director-0/s.csv", "javascript%3Aalert%281%29"]
        assert not re.search(r"@import|url\((?!['\"]?#)", html)
        assert page.headers_without_scope == 0
        assert len(page.ids) == len(set(page.ids))
        assert page.tags.count("svg") == page.tags.count("desc") == 6
        assert "use a smaller timestep_fs" in page.text
        assert "1 Outcome never started" in page.text
        assert dict(mpl.rcParams) == before

    @pytest.mark.parametrize("case", ["none", "only failed", "never started"])
    def test_runs_in_which_nothing_worked_have_a_page_too(self, tmp_path: Path, case: str) -> None:
        given = {
            "none": [],
            "only failed": [failed("a", start=1, end=1)],
            "never started": [failed("a", start=None, worker=None)],
        }[case]
        text = Page(write_report(tmp_path, run_of(1, end=None), given).read_text()).text
        assert "has not come to an end" in text
        assert "No Outcome left a state table" in text
        assert ("so there is no timeline" in text) == (case != "only failed")

    def test_twenty_thousand_outcomes_stay_a_page(self, tmp_path: Path) -> None:
        many = [outcome(f"o{i}", i // 200, i // 200 + 0.9, f"n{i % 200}/0") for i in range(20_000)]
        began = time.monotonic()
        html = build_page(tmp_path, run_of(200, end=101), many)
        assert time.monotonic() - began < 20
        assert len(html) < 6_000_000
        assert "There are 20,000 bars, so they are drawn as an image" in html
        assert "2,000 of 20,000 Outcomes; 18,000 are not shown" in html
        assert "data:image/png;base64" in html

    def test_a_failed_write_leaves_the_old_page(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_report(tmp_path, run_of(1), [])
        old = (tmp_path / "report.html").read_text()

        def refuse(self: Path, target: Path) -> Path:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="No space"):
            write_report(tmp_path, run_of(1), [outcome("a")])
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
        assert (tmp_path / "report.html").read_text() == old

    def test_says_where_the_time_went_if_that_is_known(self, tmp_path: Path) -> None:
        part = totals_of(Sums(startup_s=360, run_s=2520, lost_s=360), node_hours=2.0, worker_s=7200)
        run = run_of(*[1] * 30)
        some = replace(run, directors=tuple(replace(director, totals=part) for director in run.directors))
        html = build_page(tmp_path, some, [outcome("a")])
        text = " ".join(Page(html).text.split())
        assert "The nodes were held for 60 node-hours. Of these 42 (70.0 %) were wasted" in text
        assert "6 more Partitions are not listed" in text
        assert "Where the time went" not in build_page(tmp_path, run, [outcome("a")])

    def test_a_partition_that_held_nothing_has_an_empty_bar(self) -> None:
        assert "Of 0 node-hours" in figures.shares([("Director 0", Totals())])

    def test_names_on_the_timeline_are_text_and_short(self) -> None:
        svg = timeline.timeline([span("<script>" + "x" * 500, 0, 1)], 1, 2.0)
        assert "<script" not in svg
        assert canvas.left_margin_in(["x" * 500]) < 2.5


class TestValues:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(-1234.5, "−1,234"), (0.1512, "0.1512"), (299.84, "299.8"), (0, "0.00"), (1e-7, "1e−07"), (-0.0, "0.00")],
    )
    def test_numbers(self, value: float, text: str) -> None:
        assert number(value) == text

    def test_brief_numbers_carry_no_padding(self) -> None:
        assert [brief(v) for v in (2.0, 0.5, 1000.0, 100.0)] == ["2", "0.5", "1,000", "100"]

    def test_a_spread_sets_the_digits(self) -> None:
        assert mean_std(Quantity(-52345.21, 120.4)) == "−52,345 ± 120"
        assert mean_std(Quantity(0.15123, 0.0123)) == "0.151 ± 0.012"
        assert mean_std(None) == "–"

    @pytest.mark.parametrize("raw", [None, True, "1", float("inf"), {"std": 1}, [1], 10**400])
    def test_what_is_no_quantity_is_none(self, raw: object) -> None:
        assert quantity({"x": raw}, "x") is None

    def test_durations(self) -> None:
        assert [duration(s) for s in (12.34, 59.96, 200, 7500, 273_600)] == [
            "12.3 s",
            "1 min 00 s",
            "3 min 20 s",
            "2 h 05 min",
            "3 d 04 h",
        ]

    def test_clean_text_is_one_short_line(self) -> None:
        assert clean("a\x1b[2J\n b\ud800\u202e") == "a [2J b"
        assert len(clean("x" * 10**6, 50)) == 50

    @pytest.mark.parametrize(
        ("hosts", "text"),
        [
            (["local-0", "local-1"], "local-[0-1]"),
            (["n9", "n10", "n12"], "n[9-10,12]"),
            (["nid08", "nid09", "nid10", "login"], "nid[08-10],login"),
            (["a1.x.org", "a2.x.org", "b1.x.org"], "a[1-2].x.org,b1.x.org"),
            (["x1c0n0", "x1c0n1", "x1c1n0"], "x1c0n[0-1],x1c1n0"),
            (["n1", "n1"], "n1"),
            ([], ""),
        ],
    )
    def test_hosts_are_compressed(self, hosts: list[str], text: str) -> None:
        assert compress_hosts(hosts) == text

    @given(st.sets(st.from_regex(r"[a-c]{0,2}(0|00|[1-9])?[0-9]{1,2}(\.z)?", fullmatch=True), max_size=12))
    def test_compressed_hosts_name_each_host_once(self, hosts: set[str]) -> None:
        found: list[str] = []
        for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", compress_hosts(sorted(hosts))):
            match = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", part)
            if not match:
                found.append(part)
                continue
            for item in match[2].split(","):
                low, _, high = item.partition("-")
                numbers = range(int(low), int(high or low) + 1)
                found += [f"{match[1]}{value:0{len(low)}}{match[3]}" for value in numbers]
        assert sorted(found) == sorted(hosts)
