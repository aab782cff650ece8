"""Nothing outlives its owner: no Director, interchange, worker pool, worker or guard."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from director import Fleet, sweep
from director.history import read_history
from director.runfolder import RunFolder
from partitions.guard import MARK_VARIABLE, marked
from tests.helpers import alive, processes_naming, wait_until

CLIENT = """
import asyncio, sys
from director import Fleet, sweep

async def main():
    async with Fleet.launch(directors=2, nodes=4, run_dir=sys.argv[1]) as fleet:
        stream = fleet.map(sweep("mock_md", duration_s=float(sys.argv[2]), seed=range(40)))
        async for outcome in stream:
            print(outcome.id, flush=True)

asyncio.run(main())
"""


def members(folder: Path) -> set[int]:
    """Every process of a run: those that name its folder, and all that carry the same mark as one that does."""
    named_ones = set(processes_naming(str(folder)))
    marks = {mark for pid in named_ones if (mark := mark_of(pid))}
    return (named_ones | {pid for mark in marks for pid in marked(mark)}) - {os.getpid()}


def mark_of(pid: int) -> str | None:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return next((name.partition("=")[2] for name in variables if name.startswith(f"{MARK_VARIABLE}=")), None)


def named(pids: set[int], program: str) -> list[int]:
    """Those of these processes whose command line names a program."""
    return [pid for pid in sorted(pids) if program.encode() in command_of(pid)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def gone(pids: set[int]) -> bool:
    return not any(alive(pid) for pid in pids)


@pytest.fixture
def client(tmp_path):
    """A client in a process of its own, with a batch under way on 2 Directors with 4 workers."""
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(folder), "0.5"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    assert process.stdout.readline().strip()
    everything = members(folder)
    # 2 Directors, each with an interchange and a guard; 4 worker pools, each with its watch, helper and worker.
    assert len(everything) >= 18
    assert len(named(everything, "HTEX interchange")) == 2
    yield process, folder, everything
    process.kill()
    process.wait()


async def test_closing_a_fleet_leaves_no_process(tmp_path):
    folder = tmp_path / "run"
    async with Fleet.launch(directors=2, nodes=4, run_dir=folder) as fleet:
        async for _ in fleet.map(sweep("mock_md", duration_s=0.1, seed=range(8))):
            pass
        everything = members(folder)
        assert len(everything) >= 10
    wait_until(lambda: gone(everything), 5, "the end of all processes")


async def test_closing_a_fleet_that_is_busy_leaves_no_process_and_loses_nothing(tmp_path):
    folder = tmp_path / "run"
    async with Fleet.launch(directors=2, nodes=4, run_dir=folder) as fleet:
        acknowledged = [
            fleet.links[index % 2].post(request)
            for index, request in enumerate(fleet.prepare(sweep("mock_md", duration_s=300, seed=range(8))))
        ]
        await asyncio.gather(*acknowledged)
        async with asyncio.timeout(60):
            while sum(status["running"] for status in await fleet.status()) < 4:
                await asyncio.sleep(0.05)
        everything = members(folder)
    wait_until(lambda: gone(everything), 5, "the end of all processes")
    assert sum(reading.accepted for reading in read_history(RunFolder(folder)).readings) == 8


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_client_is_killed_all_of_its_processes_end_within_5_s(client, how):
    process, folder, everything = client
    process.send_signal(how)
    process.wait()
    wait_until(lambda: gone(everything), 5, "the end of all processes")
    assert not processes_naming(str(folder))


def test_when_a_director_is_killed_all_of_its_processes_end_within_5_s(client):
    _, _, everything = client
    directors = named(everything, "director.process")
    victim = directors[0]
    its = set(marked(mark_of(victim) or "")) | {victim}
    assert len(its) >= 5
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: gone(its), 5, "the end of the Director's processes")


def test_when_client_and_directors_are_killed_together_nothing_remains(client):
    process, _, everything = client
    for pid in named(everything, "director.process"):
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()
    wait_until(lambda: gone(everything), 5, "the end of all processes")


@pytest.mark.parametrize("which", [0, 1], ids=["the pool's helper", "a worker"])
async def test_a_process_of_a_worker_pool_that_is_killed_is_replaced_and_its_request_ends_ok(tmp_path, which):
    folder = tmp_path / "run"
    async with Fleet.launch(nodes=1, run_dir=folder, workers_per_node=1) as fleet:
        # Without its helper a pool goes on for four seconds, and then another one takes its place.
        stream = fleet.map(sweep("mock_md", duration_s=3.0, seed=range(3)))
        outcomes = [await anext(stream)]
        # A worker pool starts its helper first, then its worker.
        children = named(members(folder), "spawn_main")
        assert len(children) == 2
        os.kill(children[which], signal.SIGKILL)
        outcomes += [outcome async for outcome in stream]
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert len({outcome.id for outcome in outcomes}) == 3
    assert max(outcome.attempts for outcome in outcomes) >= 2


@pytest.mark.parametrize("which", [0, 1], ids=["its keeper", "the pool itself"])
async def test_a_worker_pool_that_is_killed_is_replaced_and_its_requests_end_ok(tmp_path, which):
    folder = tmp_path / "run"
    async with Fleet.launch(nodes=2, run_dir=folder, workers_per_node=1) as fleet:
        stream = fleet.map(sweep("mock_md", duration_s=1.0, seed=range(8)))
        outcomes = [await anext(stream)]
        keepers = named(members(folder), "keeper.py")
        pools = named(members(folder), "partitions.worker_pool")
        assert (len(keepers), len(pools)) == (2, 2)
        os.kill((keepers, pools)[which][0], signal.SIGKILL)
        outcomes += [outcome async for outcome in stream]
        # However slow this machine is, and whether or not anything was left for the new one to run.
        await asyncio.to_thread(
            wait_until, lambda: _new_pools(folder, keepers, pools, which), 60, "another worker pool"
        )
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert len({outcome.id for outcome in outcomes}) == 8


def _new_pools(folder, keepers, pools, which):
    """Whether there are as many worker pools as before, without the one that was killed."""
    now = named(members(folder), ("keeper.py", "partitions.worker_pool")[which])
    return len(now) == 2 and (keepers, pools)[which][0] not in now


async def test_when_the_interchange_is_killed_another_takes_its_place_and_all_requests_end_ok(tmp_path):
    folder = tmp_path / "run"
    async with Fleet.launch(nodes=2, run_dir=folder, workers_per_node=1) as fleet:
        stream = fleet.map(sweep("mock_md", duration_s=1.0, seed=range(8)))
        outcomes = [await anext(stream)]
        everything = members(folder)
        (interchange,) = named(everything, "HTEX interchange")
        os.kill(interchange, signal.SIGKILL)
        async with asyncio.timeout(60):
            outcomes += [outcome async for outcome in stream]
        assert not alive(interchange)
        assert len(named(members(folder), "HTEX interchange")) == 1
        # A worker pool's helper and its worker, on each of the nodes: none of those before.
        assert len(named(members(folder), "spawn_main")) == 4
        everything |= members(folder)
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert len({outcome.id for outcome in outcomes}) == 8
    assert max(outcome.attempts for outcome in outcomes) == 2
    wait_until(lambda: gone(everything), 5, "the end of all processes")
    assert not processes_naming(str(folder))
