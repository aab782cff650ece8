"""Runs that go on: after their client, their Directors or their whole job are gone, on the same nodes or on others."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from director.call import DirectorLost, WoundDown
from director.door import Refused
from director.fleet import Fleet
from director.history import read_history
from director.launching import LaunchError
from director.left import left_of
from director.requestbook import RequestBook
from director.runfolder import RunFolder
from simulations.records import Request
from tests.helpers import mock_request, processes_naming, wait_until

BATCH = """
directors: 2
nodes: 2
workers_per_node: 1
requests:
  - tool: mock_md
    inputs: {duration_s: 0.5}
    repeat: 24
"""


def command(*words):
    return [sys.executable, "-m", "director", *map(str, words)]


def director(*words, cwd, code=0):
    done = subprocess.run(command(*words), cwd=cwd, capture_output=True, text=True, timeout=150)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


class Client:
    """``director run`` in a process of its own."""

    def __init__(self, folder, *words):
        self.out = folder / f"out-{time.monotonic_ns()}"
        self.err = self.out.with_suffix(".err")
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(command("run", *words, "--json"), cwd=folder, stdout=out, stderr=err)

    @property
    def lines(self):
        return [line for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def after(self, count):
        """Waits until so many Outcomes have been printed."""
        wait_until(lambda: len(self.lines) >= count or self.process.poll() is not None, 100, f"{count} Outcomes")
        assert self.process.poll() is None, self.err.read_text()
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ends(self, code, timeout_s=60):
        assert self.process.wait(timeout_s) == code, self.err.read_text()
        assert "Traceback" not in self.err.read_text()
        return json.loads(next(line for line in self.err.read_text().splitlines() if line.startswith('{"ended"')))[
            "ended"
        ]


def batch(folder, text=BATCH):
    (folder / "batch.yaml").write_text(text)


def outcomes_of(folder):
    """The Outcomes of a run by id; fails if a Request has two."""
    found = read_history(RunFolder(folder / "run")).outcomes
    assert max(Counter(outcome.id for outcome in found).values(), default=0) <= 1
    return {outcome.id: outcome for outcome in found}


def ids_of(lines):
    return [json.loads(line)["id"] for line in lines]


@pytest.fixture(scope="module")
def killed_twice(tmp_path_factory):
    """A run whose client was killed in the middle, resumed, killed again, and resumed to its end on other nodes."""
    folder = tmp_path_factory.mktemp("resume")
    batch(folder)
    first = Client(folder, "batch.yaml", "--run-dir", "run").after(4)
    first.kill()
    after_first = outcomes_of(folder)
    second = Client(folder, "--resume", "run").after(4)
    second.kill()
    # What its Directors still finish is not printed by the next one.
    wait_until(lambda: not processes_naming(str(folder / "run")), 60, "the end of the Directors")
    after_second = outcomes_of(folder)
    third = director("run", "--resume", "run", "--nodes", "4", "--json", cwd=folder)
    return folder, (first, after_first), (second, after_second), third


def test_every_request_has_one_outcome_and_nothing_that_was_done_is_done_again(killed_twice):
    folder, (_, after_first), (_, after_second), _ = killed_twice
    final = outcomes_of(folder)
    written = {request.id for request in RequestBook(folder / "run" / "requests.jsonl").read()}
    assert len(written) == 24
    assert set(final) == written
    assert {outcome.status.value for outcome in final.values()} == {"ok"}
    assert 4 <= len(after_first) < len(after_second) < 24
    for name, before in {**after_first, **after_second}.items():
        assert final[name] == before, "an Outcome never changes"
    for name, outcome in final.items():
        epochs = [attempt.epoch for attempt in outcome.history]
        assert epochs == sorted(set(epochs)), name


def test_resume_prints_what_completes_now_and_not_what_was_done_before(killed_twice):
    folder, (_, after_first), (second, after_second), third = killed_twice
    assert not set(ids_of(second.lines)) & set(after_first)
    assert sorted(ids_of(third.stdout.splitlines())) == sorted(set(outcomes_of(folder)) - set(after_second))
    assert "24/24 done" in third.stderr


def test_the_record_tells_of_every_launching_and_of_the_nodes_of_the_last(killed_twice):
    folder, _, _, third = killed_twice
    record = RunFolder(folder / "run").read()
    assert [launch.number for launch in record.launches] == [1, 2, 3]
    assert [launch.at for launch in record.launches] == sorted(launch.at for launch in record.launches)
    assert record.partitions == [["local-0", "local-1"], ["local-2", "local-3"]]
    assert record.closed_at is not None
    assert {tuple(json.loads(line)["partition"]) for line in third.stdout.splitlines()} <= set(
        map(tuple, record.partitions)
    )
    assert not processes_naming(str(folder / "run"))


def test_when_nothing_is_open_nothing_is_launched_and_the_code_is_the_runs(killed_twice):
    folder, *_ = killed_twice
    before = (folder / "run" / "run.json").read_bytes()
    done = director("run", "--resume", "run", cwd=folder)
    assert "nothing is open: all 24 requests" in " ".join(done.stderr.split())
    done = director("run", "--resume", "run", "--json", cwd=folder)
    assert done.stdout == ""
    assert json.loads(done.stderr)["nothing_open"]["finished"] == {"ok": 24}
    assert (folder / "run" / "run.json").read_bytes() == before
    director("status", "run", cwd=folder)


async def test_a_fleet_is_not_resumed_when_nothing_is_open(killed_twice):
    folder, *_ = killed_twice
    with pytest.raises(Refused, match=r"nothing of .* is open"):
        await Fleet.resume(folder / "run")


def test_a_line_that_was_cut_off_and_an_outcome_that_failed_before(tmp_path):
    """The last line never became a Request that anybody was told of; what failed before makes the exit code 1."""
    odd = "requests:\n  - {tool: md, inputs: {structure: odd.pdb, steps: 10}}"
    batch(tmp_path, BATCH.replace("requests:", odd).replace("repeat: 24", "repeat: 20"))
    (tmp_path / "odd.pdb").write_text(
        "ATOM      1  N   XYZ A   1       0.000   0.000   0.000  1.00  0.00           N\n"
    )
    client = Client(tmp_path, "batch.yaml", "--run-dir", "run").after(1)
    wait_until(lambda: any('"failed"' in line for line in client.lines), 60, "the Outcome that failed")
    client.kill()
    book = tmp_path / "run" / "requests.jsonl"
    lines = book.read_bytes().splitlines(keepends=True)
    known = {name for shelf in left_of(RunFolder(tmp_path / "run")).shelves for name in shelf.known}
    assert json.loads(lines[-1])["id"] not in known, "the end of the batch was not handed over yet"
    book.write_bytes(book.read_bytes()[:-9])
    done = director("run", "--resume", "run", "--json", cwd=tmp_path, code=1)
    assert {json.loads(line)["status"] for line in done.stdout.splitlines()} == {"ok"}
    final = outcomes_of(tmp_path)
    assert Counter(outcome.status.value for outcome in final.values()) == {"ok": 19, "failed": 1}
    assert director("run", "--resume", "run", cwd=tmp_path, code=1).stdout == ""


async def test_a_run_that_is_alive_is_not_resumed_and_goes_on(tmp_path, monkeypatch):
    async with Fleet.launch(run_dir=tmp_path / "run", workers_per_node=1) as fleet:
        await fleet.hand_over([(0, mock_request("a", 20))])
        before = (tmp_path / "run" / "run.json").read_bytes()
        exchange = fleet.folder.read_exchange()
        with pytest.raises(Refused, match=r"is alive: Director 0, process \d+ on"):
            await Fleet.resume(tmp_path / "run")
        # Two clients may both find nobody alive; the Directors of one of them get the leases.
        monkeypatch.setattr("director.resuming.living", lambda *_: [])
        with pytest.raises(LaunchError, match=r"Director 0 of run .* is alive already"):
            await Fleet.resume(tmp_path / "run", nodes=2)
        assert (tmp_path / "run" / "run.json").read_bytes() == before
        assert fleet.folder.read_exchange() == exchange
        assert (await fleet.status())[0]["state"] in ("up", "starting")


async def test_a_run_goes_on_through_the_api_and_can_be_attached_to_meanwhile(tmp_path):
    folder = tmp_path / "run"
    async with Fleet.launch(directors=2, nodes=2, run_dir=folder, workers_per_node=1) as fleet:
        await fleet.hand_over([(index % 2, mock_request(f"r{index}", 1.0 + index / 10)) for index in range(6)])
    assert left_of(RunFolder(folder)).count > 0
    async with Fleet.resume(folder, shares=[2, 1], nodes=3, reuse=False) as fleet:
        assert [len(hosts) for hosts in fleet.record.partitions] == [2, 1]
        async with await Fleet.attach(folder) as other:
            assert len(await other.status()) == 2
        done = [outcome.id async for outcome in fleet.remaining()]
    assert len(set(done)) == len(done)
    final = read_history(RunFolder(folder)).outcomes
    assert sorted(outcome.id for outcome in final) == [f"r{index}" for index in range(6)]
    assert RunFolder(folder).read().closed_at is not None


async def test_a_run_that_is_drained_keeps_what_was_not_handed_over_for_later(tmp_path):
    folder = tmp_path / "run"
    requests = [
        Request(id=f"r{index}", tool="mock_md", inputs={"duration_s": 0.3, "seed": index}) for index in range(24)
    ]
    done = []
    async with Fleet.launch(directors=2, nodes=2, run_dir=folder, workers_per_node=1) as fleet:

        async def drained_after_one():
            async for outcome in fleet.map(requests):
                done.append(outcome.id)
                if len(done) == 1:
                    await fleet.drain()

        with pytest.raises(WoundDown, match="Director 0 is draining") as caught:
            await drained_after_one()
    assert caught.value.left == 24 - len(done) > 0
    async with Fleet.resume(folder) as fleet:
        done += [outcome.id async for outcome in fleet.remaining()]
    assert sorted(done) == sorted(request.id for request in requests)
    assert len(read_history(RunFolder(folder)).outcomes) == 24


async def test_who_did_not_resume_has_nothing_that_remains(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        with pytest.raises(RuntimeError, match="there is nothing that remains"):
            await anext(fleet.remaining())


def test_what_cannot_be_resumed_is_refused_before_anything_starts(tmp_path):
    batch(tmp_path)
    assert "holds no run" in director("run", "--resume", "run", cwd=tmp_path, code=2).stderr
    assert "goes with no batch file" in director("run", "batch.yaml", "--resume", "run", cwd=tmp_path, code=2).stderr
    assert "BATCH" in director("run", cwd=tmp_path, code=2).stderr
    words = ("run", "batch.yaml", "--run-dir", "run")
    for more, said in (
        (("--walltime", "3 fortnights"), "is not a duration"),
        (("--walltime", "20s", "--reserve", "30s"), "leave no time beside the reserve"),
        (("--shares", "a,b"), "is not a list of numbers"),
        (("--reuse-from", "nowhere"), "is no run folder with a ledger"),
        (("--no-reuse", "--reuse-from", "nowhere"), "although nothing is to be used again"),
    ):
        done = director(*words, *more, cwd=tmp_path, code=2)
        assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


MD = """
directors: 2
nodes: 2
workers_per_node: 1
requests:
  - tool: md
    inputs: {structure: alanine-dipeptide, steps: 100000000, platform: CPU}
    repeat: 3
  - tool: mock_md
    inputs: {duration_s: 0.1}
    priority: 5
    repeat: 2
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1), (signal.SIGUSR1, 1), (signal.SIGINT, 130)])
def test_a_client_that_is_told_to_end_lets_its_directors_save_what_runs_and_says_what_is_left(tmp_path, number, code):
    batch(tmp_path, MD)
    client = Client(tmp_path, "batch.yaml", "--run-dir", "run", "--no-report").after(2)
    wait_until(lambda: len(list((tmp_path / "run").glob("director-*/work/*/progress.json"))) >= 2, 60, "both to run")
    began = time.monotonic()
    client.process.send_signal(number)
    said = client.ends(code, 20)
    assert time.monotonic() - began < 9.5, "PBS kills 10 s after it has asked"
    assert (said["done"], said["paused"], said["queued"]) == (2, 2, 1)
    assert any(number.name in reason for reason in said["reasons"])
    assert said["next"] == "director run --resume run"
    left = left_of(RunFolder(tmp_path / "run"))
    assert (left.count, left.ended.total()) == (3, 2)
    wait_until(lambda: not processes_naming(str(tmp_path / "run")), 5, "the end of all processes")


def test_a_second_signal_ends_everything_at_once(tmp_path):
    batch(tmp_path)
    client = Client(tmp_path, "batch.yaml", "--run-dir", "run").after(2)
    client.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "SIGUSR1" in client.err.read_text(), 60, "the first to be taken")
    client.process.send_signal(signal.SIGTERM)
    assert client.process.wait(60) in (1, 3)
    assert "Traceback" not in client.err.read_text()
    wait_until(lambda: not processes_naming(str(tmp_path / "run")), 5, "the end of all processes")


def test_when_the_walltime_is_over_the_run_ends_cleanly_and_the_next_one_finishes_it(tmp_path):
    batch(tmp_path, BATCH.replace("repeat: 24", "repeat: 60"))
    words = ("--walltime", "25s", "--reserve", "6s", "--no-report")
    client = Client(tmp_path, "batch.yaml", "--run-dir", "run", *words)
    said = client.ends(1, 150)
    assert any("walltime" in reason for reason in said["reasons"])
    assert said["done"] + said["paused"] + said["queued"] == 60
    assert said["queued"] > 0
    before = outcomes_of(tmp_path)
    assert len(before) == said["done"] == len(client.lines)
    done = director("run", "--resume", "run", "--json", "--no-report", cwd=tmp_path)
    assert len(done.stdout.splitlines()) == 60 - len(before)
    final = outcomes_of(tmp_path)
    assert len(final) == 60
    assert all(final[name] == outcome for name, outcome in before.items())


async def test_a_director_that_is_killed_is_launched_again_and_no_outcome_is_lost_or_doubled(tmp_path):
    folder = tmp_path / "run"
    requests = [
        Request(id=f"r{index}", tool="mock_md", inputs={"duration_s": 0.5, "seed": index}) for index in range(24)
    ]
    async with Fleet.launch(directors=2, nodes=2, run_dir=folder, workers_per_node=1) as fleet:
        done = []
        async for outcome in fleet.map(requests):
            done.append(outcome.id)
            if len(done) in (4, 12):
                os.kill(fleet._owned.directors[len(done) % 2].pid, signal.SIGKILL)
        assert [item["state"] for item in await fleet.status()] == ["up", "up"]
    assert sorted(done) == sorted(request.id for request in requests)
    final = read_history(RunFolder(folder)).outcomes
    assert sorted(outcome.id for outcome in final) == sorted(done)
    record = RunFolder(folder).read()
    assert [(launch.number, launch.directors) for launch in record.launches] == [(1, None), (2, [0]), (3, [0])]
    assert (record.launch_of(0), record.launch_of(1)) == (3, 1)


async def test_a_director_that_is_killed_again_and_again_is_lost_in_the_end(tmp_path):
    folder = tmp_path / "run"
    async with Fleet.launch(run_dir=folder, workers_per_node=1, relaunches=1) as fleet:
        await fleet.hand_over([(0, mock_request("a", 60))])
        os.kill(fleet._owned.directors[0].pid, signal.SIGKILL)
        assert await fleet.open_ids() == ["a"], "it waits for the one that is launched again"
        os.kill(fleet._owned.directors[0].pid, signal.SIGKILL)
        with pytest.raises(DirectorLost, match="SIGKILL"):
            await fleet.run("mock_md", duration_s=0)
    assert left_of(RunFolder(folder)).open == [(0, "a")]
