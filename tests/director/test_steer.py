"""Steering an open run from the command line: status, watch, cancel, drain, fetch, close, and their exit codes."""

import asyncio
import json
import os
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from director.cli.app import app
from director.fleet import Fleet
from director.requestbook import RequestBook
from simulations.records import Request
from tests.helpers import mock_request, wait_until


class Open:
    """A run that is open, in this process."""

    def __init__(self, folder) -> None:
        self.path = folder / "run"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.fleet = self.do(self._launch())

    async def _launch(self) -> Fleet:
        return await Fleet.launch(directors=2, nodes=2, run_dir=self.path, workers_per_node=1)

    def do(self, work):
        """Does something where the Fleet lives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(100)

    def give(self, *requests: tuple[int, Request]) -> None:
        """Gives Requests to Directors, without waiting for their Outcomes."""
        prepared = self.fleet.prepare([request for _, request in requests])
        self.do(self.fleet.hand_over([(index, item) for (index, _), item in zip(requests, prepared, strict=True)]))

    def statuses(self) -> dict[str, str]:
        async def read():
            return {outcome.id: outcome.status.value async for outcome in self.fleet.outcomes()}

        return self.do(read())

    def close(self) -> None:
        self.do(self.fleet.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("steer")


@pytest.fixture(scope="module")
def run(folder):
    made = Open(folder)
    made.give((0, Request(id="md1", tool="md", inputs={"structure": "alanine-dipeptide", "steps": 20})))
    wait_until(lambda: made.statuses() == {"md1": "ok"}, 60, "the first Outcome")
    yield made
    made.close()


@pytest.fixture
def director(folder):
    """The command, where nothing is known of any run but what it is told."""

    def call(*words, code=0):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DIRECTOR_")}
        done = subprocess.run(
            [sys.executable, "-m", "director", *map(str, words)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=100,
            stdin=subprocess.DEVNULL,
            env={**kept, "DIRECTOR_HOME": str(folder / "kept")},
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture
def typed(folder, monkeypatch):
    """The command in this process, for what ends before anything is asked."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DIRECTOR_HOME", str(folder / "kept"))
    for name in ("DIRECTOR_EXCHANGE", "DIRECTOR_EXCHANGE_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    "command",
    ["status", "outcomes", "watch", "cancel", "prioritize", "pause", "unpause", "drain", "close", "fetch", "resume"],
)
def test_a_run_that_nobody_knows_is_refused_in_words_and_in_json(typed, command):
    more = {"cancel": ["all"], "prioritize": ["all", "--priority", "1"]}.get(command, [])
    done = typed(command, "nosuchrun", *more, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    (problem,) = json.loads(done.stderr)["refused"]
    assert problem["where"] == "RUN"
    assert "no run folder nosuchrun, and no run of this name is known here" in problem["message"]
    assert "no run folder nosuchrun" in typed(command, "nosuchrun", *more).stderr


@pytest.mark.parametrize("command", ["status", "outcomes", "drain", "close", "fetch"])
def test_a_folder_that_holds_no_run_is_refused(typed, folder, command):
    done = typed(command, f"{folder}/empty")
    assert done.exit_code == 2
    assert "holds no run" in done.stderr


def test_status_shows_both_directors_and_their_partitions(director, run):
    document = json.loads(director("status", run.path, "--json").stdout)
    assert document["open"] is True
    assert [item["partition"] for item in document["directors"]] == [["local-0"], ["local-1"]]
    assert document["directors"][0]["finished"] == {"ok": 1}
    shown = director("status", "run").stdout
    assert "local-0" in shown
    assert "local-1" in shown


def test_fetch_brings_artifacts_by_name_and_by_how_an_id_begins_and_not_twice(director, run, folder):
    words = ("fetch", "run", "md", "--name", "final_structure", "--to", "got", "--json")
    (line,) = director(*words).stdout.splitlines()
    item = json.loads(line)
    assert (item["id"], item["name"]) == ("md1", "final_structure")
    got = folder / item["path"]
    original = next((run.path / "director-0" / "work" / "md1").glob(got.name))
    assert got.read_bytes() == original.read_bytes()
    assert got.stat().st_size == item["bytes"]
    before = got.stat()
    assert json.loads(director(*words).stdout) == item
    assert (got.stat().st_ino, got.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    everything = director("fetch", "run", "--to", "all").stdout.splitlines()
    assert len(everything) > 3
    assert all((folder / path).is_file() for path in everything)


def test_fetching_what_is_not_there_is_refused(director, run, folder):
    assert "no artifact named hologram" in director("fetch", "run", "--name", "hologram", "--to", "x", code=2).stderr
    done = director("fetch", "run", "zzz", "--to", "x", "--json", code=2)
    assert "no artifact" in json.loads(done.stderr)["refused"][0]["message"]
    assert not (folder / "x").exists()


def test_cancel_stops_what_runs_and_what_waits_and_says_what_it_does_not_know(director, run):
    run.give((0, mock_request("c-run", 600)), (0, mock_request("c-wait", 600)))
    status = lambda: run.do(run.fleet.status())[0]  # noqa: E731
    wait_until(lambda: status()["running"] == 1 and status()["queued"] == 1, what="one that runs and one that waits")
    answers = json.loads(director("cancel", "run", "c-run", "c-wait", "md1", "c-nobody", "--json", code=1).stdout)
    assert answers.pop("c-wait") in ("cancelled", "stopping")  # a pool holds a little more than it runs
    assert answers == {"c-run": "stopping", "md1": "finished", "c-nobody": "unknown"}
    wait_until(lambda: run.statuses().get("c-run") == run.statuses().get("c-wait") == "cancelled", what="both ends")
    assert run.statuses()["md1"] == "ok"


def test_cancel_takes_how_ids_begin(director, run):
    run.give((0, mock_request("p-one", 600)), (1, mock_request("p-two", 600)), (1, mock_request("q-three", 0)))
    try:
        answers = json.loads(director("cancel", "run", "p-", "--json").stdout)
        assert set(answers) == {"p-one", "p-two"}
    finally:
        run.do(run.fleet.cancel(["p-one", "p-two"]))
    wait_until(lambda: run.statuses().get("p-one") == run.statuses().get("p-two") == "cancelled", what="both ends")


def test_a_paused_run_starts_nothing_and_goes_on_in_the_order_of_new_priorities(director, run):
    assert json.loads(director("pause", "run", "--json").stdout) == {"running": 0}
    assert [item["state"] for item in json.loads(director("status", "run", "--json").stdout)["directors"]] == [
        "paused",
        "paused",
    ]
    run.give((0, mock_request("v-low", 0.21)), (0, mock_request("v-mid", 0.22)), (0, mock_request("v-high", 0.23)))
    words = ("prioritize", "run", "v-h", "md1", "nobody", "--priority", "7", "--json")
    answers = json.loads(director(*words, code=1).stdout)
    assert answers == {"v-high": "changed", "md1": "finished", "nobody": "unknown"}
    assert "v-low changed" in director("prioritize", "run", "v-low", "--priority", "-7").stdout
    assert not {"v-low", "v-mid", "v-high"} & set(run.statuses())
    assert json.loads(director("unpause", "run", "--json").stdout) == {"open": 3}
    wait_until(lambda: {"v-low", "v-mid", "v-high"} <= set(run.statuses()), 60, "all three")
    assert [name for name in run.statuses() if name.startswith("v-")] == ["v-high", "v-mid", "v-low"]


@pytest.mark.parametrize("priority", ["1001", "-1001", "high"])
def test_a_priority_that_is_none_is_refused(typed, priority):
    assert typed("prioritize", "run", "all", "--priority", priority).exit_code == 2


def test_a_run_folder_is_resumed_by_director_run(director, run):
    done = director("resume", run.path, code=2)
    assert "director run --resume" in " ".join(done.stderr.split())


def test_cancel_all_is_all_that_is_open(director, run):
    run.give((0, mock_request("a-one", 600)), (1, mock_request("a-two", 600)))
    answers = json.loads(director("cancel", "run", "all", "--json").stdout)
    assert set(answers) == {"a-one", "a-two"}
    wait_until(lambda: run.statuses().get("a-one") == run.statuses().get("a-two") == "cancelled", what="both ends")
    assert json.loads(director("cancel", "run", "all", "--json").stdout) == {}


def test_requests_that_their_client_has_not_handed_over_yet_are_said_to_be_left_as_they_are(director, run):
    book = run.fleet.folder.requests_file
    RequestBook(book).add([mock_request("u-one"), mock_request("u-two"), mock_request("md1")])
    run.give((0, mock_request("u-here", 600)))
    try:
        done = director("cancel", "run", "u-", "md1", "--json", code=1)
        assert json.loads(done.stdout) in (
            {"u-here": what, "u-one": "unsent", "u-two": "unsent", "md1": "finished"}
            for what in ("cancelled", "stopping")
        )
        assert "2 requests are left as they are" in done.stderr
        assert "director close run" in done.stderr
        assert (
            json.loads(director("prioritize", "run", "all", "--priority", "3", "--json", code=1).stdout).items()
            >= {
                "u-one": "unsent",
                "u-two": "unsent",
            }.items()
        )
        wait_until(lambda: run.statuses().get("u-here") == "cancelled", 60, "the end of what ran")
        assert not {"u-one", "u-two"} & set(run.statuses())
    finally:
        book.unlink()


def test_watch_prints_each_outcome_once_until_nothing_is_open_and_its_code_tells_how_they_ended(director, run):
    run.give((0, mock_request("w-one", 1.5)), (1, mock_request("w-two", 0)))
    lines = director("watch", "run", "--json", code=1).stdout.splitlines()  # some were cancelled
    found = [json.loads(line)["id"] for line in lines]
    assert len(found) == len(set(found))
    assert set(found) == set(run.statuses())
    assert {"md1", "w-one", "w-two"} <= set(found)


def test_a_drained_run_accepts_nothing_more_and_finishes_what_it_has(director, run):
    run.give((0, mock_request("d-one", 2)))
    assert json.loads(director("drain", "run", "--json").stdout)["open"] in (0, 1)
    with pytest.raises(Exception, match="drain"):
        run.give((0, mock_request("d-late", 0)))
    wait_until(lambda: run.statuses().get("d-one") == "ok", what="the last Outcome")
    assert "nothing more is accepted" in director("drain", "run").stdout


def test_close_ends_the_directors_and_later_commands_say_that_nobody_answers(director, run):
    assert json.loads(director("close", "run", "--json").stdout) == {"closed": 2}
    links = run.fleet.links
    wait_until(lambda: all(link.lost.done() for link in links), 30, "the end of both Directors")
    for command in ("close", "drain"):
        done = director(command, "run", "--json", code=3)
        assert json.loads(done.stderr)["failed"]["type"] in ("DirectorLost", "DirectorEnded")
    document = json.loads(director("status", "run", "--json").stdout)
    assert [item["state"] for item in document["directors"]] == ["lost", "lost"]
    kept = [json.loads(line)["id"] for line in director("outcomes", "run", "--json", code=1).stdout.splitlines()]
    assert {"md1", "w-two", "d-one"} <= set(kept), "what is in the ledgers stays"
