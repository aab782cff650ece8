"""A service Partition: an LLM server on a node of its own, Directors on the others, and an agent on the lead node.

The server is the tests' stand-in of a language model, whose key, address and port are filled in as those of a real one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from director.service_partition.state import ServicesFolder
from partitions.guard import BLOCK_MARK_VARIABLE
from tests.cluster.breaking import mend
from tests.cluster.cluster import Cluster
from tests.cluster.runs import DIRECTOR, Run, batch, sleeps, submit
from tests.helpers import end_all, wait_until

ROOT = Path(__file__).parents[2]
UP_S = 90.0
GONE_S = 60.0


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> Iterator[None]:
    """What a test has killed comes back for the next one."""
    yield
    mend(cluster)


def llm(**more: Any) -> dict[str, Any]:
    """A stand-in of a language model as a service."""
    arguments = ["-m", "tests.llm.server", "--host", "{host}", "--port", "{port}", "--key-file", "{api_key_file}"]
    return {
        "name": "llm",
        "program": sys.executable,
        "arguments": [*arguments, "--model", "stand-in", "--mind", "echo"],
        "environment": {"PYTHONPATH": str(ROOT)},
        "api_key_variable": None,
        "health_every_s": 1,
        "backoff_s": 0.5,
        "stop_s": 2,
        **more,
    }


def with_llm(count: int, duration_s: float, *, pool: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A batch with the service."""
    return batch(sleeps(count, duration_s), services=[llm(**more)], pool=pool or {})


def servers(run: Run) -> dict[str, list[int]]:
    """The processes of the server, by node."""
    found = {
        name: run.cluster.pids(name, "tests.llm.server") for name in run.cluster.nodes if run.cluster.node_up(name)
    }
    # What only names it on its command line, such as a launcher, is not one.
    return {name: pids for name, pids in found.items() if pids}


def service(run: Run) -> dict[str, Any]:
    """What ``director status`` shows of it."""
    return dict(run.status()["services"][0])


def state(run: Run) -> str:
    """How it is, as it is written down."""
    found = ServicesFolder(run.run_folder).read("llm") if (run.run_folder / "run.json").exists() else None
    return found.state if found else "nothing"


def up(run: Run) -> dict[str, Any]:
    """Waits until it is up."""
    wait_until(lambda: state(run) == "up", UP_S, f"the service to be up\n{run.told()}")
    return service(run)


def asks(run: Run, host: str, base_url: str, *, key: bool = True) -> int:
    """What status a question from a node is answered with; 0: it is not answered."""
    key_file = ServicesFolder(run.run_folder).key_file("llm")
    script = (
        "import sys, json, urllib.request, urllib.error\n"
        "headers = {'Content-Type': 'application/json'}\n"
        f"{'headers' if key else '_'} = {{**headers, 'Authorization': 'Bearer ' + open({str(key_file)!r}).read()}}\n"
        "body = json.dumps({'model': 'stand-in', 'messages': [{'role': 'user', 'content': 'hello'}]}).encode()\n"
        f"request = urllib.request.Request({base_url!r} + '/chat/completions', body, headers)\n"
        "try:\n    print(urllib.request.urlopen(request, timeout=20).status)\n"
        "except urllib.error.HTTPError as error:\n    print(error.code)\n"
        "except OSError as error:\n    print(0)\n"
    )
    return int(run.cluster.run(host, [sys.executable, "-c", script]).stdout)


@pytest.mark.parametrize(
    ("scheduler", "launcher"), [("slurm", "srun"), ("slurm", "hydra"), ("slurm", "openmpi"), ("pbs", "hydra")]
)
def test_server_on_its_own_node_directors_on_the_others_and_all_end_with_the_run(
    cluster: Cluster, tmp_path: Path, scheduler: str, launcher: str
) -> None:
    run = submit(cluster, tmp_path / "r", with_llm(12, 1.0, pool={"launcher": launcher}), scheduler=scheduler)
    found = up(run)
    assert found["partition"] == ["node4"]
    assert run.hosts() == ["node1", "node2", "node3"]
    assert list(servers(run)) == ["node4"]
    base_url = found["base_url"]
    own = cluster.run("node4", ["hostname", "--ip-address"]).stdout.strip()
    assert base_url.startswith(f"http://{own}:")
    assert asks(run, "node1", base_url) == 200
    assert asks(run, "node1", base_url, key=False) == 401
    key = ServicesFolder(run.run_folder).key_file("llm").read_text()
    assert not any(cluster.pids(name, key) for name in cluster.nodes), "the key stands on a command line"
    code, outcomes = run.end()
    assert code == 0, run.told()
    assert {outcome["host"] for outcome in outcomes} == {"node1", "node2", "node3"}
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")
    assert service(run)["state"] == "stopped"
    assert not ServicesFolder(run.run_folder).key_file("llm").exists()
    left = [path for path in run.folder.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert left == [], "the key has outlived the run"


def test_a_killed_server_is_started_again_at_the_same_address(cluster: Cluster, tmp_path: Path) -> None:
    run = submit(cluster, tmp_path / "r", with_llm(60, 1.0))
    before = up(run)
    run.until(2)
    killed = servers(run)["node4"]
    end_all(killed)
    wait_until(lambda: service(run)["servers"][0]["starts"] == 2, UP_S, "another start")
    after = up(run)
    assert after["base_url"] == before["base_url"]
    assert not set(killed) & set(servers(run)["node4"])
    assert asks(run, "node1", after["base_url"]) == 200
    states = [event["state"] for event in ServicesFolder(run.run_folder).events() if event["kind"] == "server"]
    assert states.index("up") < states.index("restarting") < len(states) - 1 - states[::-1].index("up")
    assert {outcome["status"] for outcome in run.lines()} == {"ok"}
    run.job.cancel()
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")


def test_whoever_looks_after_the_server_is_killed_and_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    run = submit(cluster, tmp_path / "r", with_llm(60, 1.0))
    before = up(run)
    old = servers(run)["node4"]
    end_all(run.cluster.pids("node1", "director.service_partition.process"))
    wait_until(lambda: not set(old) & set(servers(run).get("node4", [])), GONE_S, "the end of the server")
    wait_until(lambda: bool(servers(run)), UP_S, "another server")
    assert up(run)["base_url"] == before["base_url"]
    assert len(servers(run)["node4"]) == len(old)
    run.job.cancel()
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")


def cancel_the_job(run: Run) -> None:
    """By its owner."""
    run.job.cancel()


def kill_the_client(run: Run) -> None:
    """No word is said to anybody."""
    end_all(run.cluster.pids("node1", str(DIRECTOR), "--run-dir"))


def kill_client_and_whoever_looks_after_the_server(run: Run) -> None:
    """Together, so that neither can act for the other."""
    end_all(
        [
            *run.cluster.pids("node1", str(DIRECTOR), "--run-dir"),
            *run.cluster.pids("node1", "director.service_partition.process"),
        ]
    )


def kill_the_keeper(run: Run) -> None:
    """Of the server, and then the job."""
    end_all(run.cluster.pids("node4", "service_keeper.py"))
    run.job.cancel()


@pytest.mark.parametrize(
    "ending",
    [cancel_the_job, kill_the_client, kill_client_and_whoever_looks_after_the_server, kill_the_keeper],
    ids=lambda ending: ending.__name__,
)
def test_no_server_is_left_however_the_run_ends(cluster: Cluster, tmp_path: Path, ending: Any) -> None:
    run = submit(cluster, tmp_path / "r", with_llm(60, 1.0))
    up(run)
    run.until(2)
    assert run.workers("node4")
    ending(run)
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")
    run.job.cancel()
    run.job.wait(60)


def test_a_server_that_does_not_come_up_fails_the_run_with_what_it_said(cluster: Cluster, tmp_path: Path) -> None:
    broken = llm(program="/bin/sh", arguments=["-c", "echo the weights are missing >&2; exit 5", "{host}", "{port}"])
    what = batch(sleeps(4, 0.1), services=[broken | {"restarts": 1}])
    run = submit(cluster, tmp_path / "r", what)
    code, outcomes = run.end()
    assert code == 3
    assert outcomes == []
    said = run.job.output
    assert "it ended: exit code 5; it was started 2 times" in said
    assert "the weights are missing" in said
    wait_until(lambda: not run.left(), GONE_S, "the end of all")


def test_a_server_is_started_again_when_its_node_comes_back_from_being_cut_off(
    cluster: Cluster, tmp_path: Path
) -> None:
    run = submit(cluster, tmp_path / "r", with_llm(200, 1.0, restarts=20))
    up(run)
    old = servers(run)["node4"]
    cluster.run("login", ["ip", "link", "set", "to-node4", "down"])
    try:
        wait_until(lambda: not set(old) & set(servers(run).get("node4", [])), GONE_S, "the end of the server")
        wait_until(lambda: state(run) == "restarting", GONE_S, "its loss")
    finally:
        cluster.run("login", ["ip", "link", "set", "to-node4", "up"])
    run.job.cancel()
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")


# Last, since it takes the lead node away.
def test_no_server_is_left_when_the_lead_node_is_gone(cluster: Cluster, tmp_path: Path) -> None:
    run = submit(cluster, tmp_path / "r", with_llm(60, 1.0))
    up(run)
    run.until(2)
    cluster.kill_node("node1")
    others = [name for name in cluster.nodes if name != "node1"]
    marked = [f"{BLOCK_MARK_VARIABLE}="]
    wait_until(lambda: not any(cluster.pids(name, *marked, environ=True) for name in others), GONE_S, "the end of all")
    assert not servers(run)
