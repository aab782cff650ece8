"""Launching a Fleet on a Site that is somewhere else: what is refused, what ends with it, what stays."""

import asyncio
from datetime import UTC

import pytest

from director.door import Refused
from director.exchange import ExchangeChoice, ExchangeError
from director.exchange.tokens import RunTokens, new_secret
from director.fleet import Fleet
from director.launch import LocalSite
from director.launching import LaunchError, Launching
from director.remote import StillWaitingError
from director.runfolder import RunFolder
from tests.director.exchanging import HttpServer, free_port
from tests.helpers import mock_request


class Facility(LocalSite):
    """This machine, as one of which the client knows nothing.

    Args:
        root: Where its Directors have their run folders; None: it shares the client's file systems.
        late: Whether what is launched waits, as in a queue.
    """

    elsewhere = True

    def __init__(self, root=None, *, late=False):
        self.shares_files = root is None
        self.root, self.late = root, late
        self.launched = []
        self.closed = 0

    def launch(self, spec):
        if not self.shares_files:
            assert spec.run_folder is None, "its client cannot say where"
            spec = spec.model_copy(update={"run_folder": str(self.root / spec.run_id)})
        self.launched.append(Queued() if self.late else super().launch(spec))
        return self.launched[-1]

    def close(self):
        self.closed += 1


class Queued:
    """A Director that waits for its nodes."""

    def __init__(self):
        from concurrent.futures import Future

        self.ended = Future()
        self.killed = False

    def let_go(self):
        """Has nothing to let go of."""

    def kill(self):
        self.killed = True
        if not self.ended.done():
            self.ended.set_result({"ok": False, "error": "the task was cancelled"})


async def test_a_fleet_elsewhere_on_the_same_files_ends_with_its_client(tmp_path):
    site = Facility()
    async with Fleet.launch(2, 2, run_dir=tmp_path / "run", site=site, workers_per_node=1, wait_s=60) as fleet:
        outcomes = [outcome async for outcome in fleet.map([mock_request("a"), mock_request("b"), mock_request("c")])]
        assert sorted(outcome.id for outcome in outcomes) == ["a", "b", "c"]
        assert fleet.record.partitions == [["local-0"], ["local-1"]]
        async with await Fleet.attach(tmp_path / "run") as other:
            assert sum(item["finished"].get("ok", 0) for item in await other.status()) == 3
    assert all(director.ended.done() for director in site.launched)
    assert site.closed == 1
    folder = RunFolder(tmp_path / "run")
    assert folder.read().closed_at.tzinfo == UTC
    assert folder.read_exchange() is None


async def test_a_fleet_whose_files_are_elsewhere_keeps_only_copies_of_the_users_files_here(tmp_path, request):
    site = Facility(tmp_path / "there")
    with pytest.raises(Refused, match="loopback cannot be reached from a facility"):
        await Fleet.launch(1, 1, run_dir=tmp_path / "here", site=site)
    secret = new_secret()
    server = HttpServer(RunTokens(secret))
    request.addfinalizer(server.close)
    choice = ExchangeChoice("http", server.url, secret)
    launching = Fleet.launch(1, 1, run_dir=tmp_path / "here", site=site, exchange=choice, workers_per_node=1, wait_s=60)
    async with launching as fleet:
        outcome = await fleet.run("md", structure="alanine-dipeptide", steps=10)
        assert outcome.status == "ok"
        about = await fleet.about()
        await fleet.fetch(outcome.artifacts["final_structure"], tmp_path / "got.pdb")
    assert about["run_folder"] == str(tmp_path / "there" / fleet.record.run_id)
    artifact = tmp_path / "there" / fleet.record.run_id / outcome.artifacts["final_structure"]
    assert (tmp_path / "got.pdb").read_bytes() == artifact.read_bytes()
    assert [path.name for path in (tmp_path / "here").rglob("*")] == ["inputs"]
    async with asyncio.timeout(30):
        await asyncio.wrap_future(site.launched[0].ended)


async def test_a_run_folder_that_is_taken_is_refused_before_anything_is_launched(tmp_path):
    RunFolder(tmp_path).record_file.write_text("{}")
    site = Facility()
    with pytest.raises(Refused, match="already holds a run"):
        await Fleet.launch(1, 1, run_dir=tmp_path, site=site)
    assert site.launched == []
    assert RunFolder(tmp_path).record_file.read_text() == "{}"


async def test_directors_that_stay_in_the_queue_are_taken_back_and_the_error_says_which(tmp_path):
    site = Facility(late=True)
    with pytest.raises(StillWaitingError, match=r"no answer from Director 0, 1 within 0\.5 s"):
        await Fleet.launch(2, 2, run_dir=tmp_path / "run", site=site, wait_s=0.5)
    assert [director.killed for director in site.launched] == [True, True]
    assert site.closed == 1


async def test_a_director_that_ends_instead_of_answering_is_told_and_the_other_one_is_ended_too(tmp_path):
    site = Facility()
    with pytest.raises(LaunchError, match="srun"):
        await Fleet.launch(1, 1, run_dir=tmp_path / "run", site=site, pool={"launcher": "srun"}, wait_s=60)
    assert all(director.ended.done() for director in site.launched)
    assert site.closed == 1


async def test_an_exchange_that_cannot_be_reached_is_said_before_anything_is_launched(tmp_path):
    site = Facility()
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ExchangeError, match=url):
        await Fleet.launch(
            1, 1, run_dir=tmp_path / "run", site=site, exchange=ExchangeChoice("http", url, new_secret()), wait_s=5
        )
    assert site.launched == []
    assert site.closed == 1


async def test_what_cannot_be_shared_out_is_refused_before_anything_is_launched(tmp_path):
    site = Facility()
    with pytest.raises(Refused):
        await Fleet.launch(5, 2, run_dir=tmp_path / "run", site=site)
    assert site.launched == []
    assert not (tmp_path / "run").exists()


async def test_launching_begins_when_it_is_awaited_and_leaving_it_closes_the_fleet():
    events = []

    class Closing:
        async def close(self):
            events.append("closed")

    async def launch():
        events.append("launched")
        return Closing()

    launching = Launching(launch)
    assert events == []
    async with launching as fleet:
        assert isinstance(fleet, Closing)
        assert events == ["launched"]
    assert events == ["launched", "closed"]
