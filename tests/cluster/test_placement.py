"""Who gets which nodes in a real job, by every launcher; and what cannot be had."""

import json
import re

import pytest

from tests.cluster.runs import (
    AS_ROOT,
    DIRECTOR,
    assert_at_the_same_time,
    assert_each_in_its_partition,
    batch,
    by_host,
    sleeps,
    submit,
)

HALVES = [["node1", "node2"], ["node3", "node4"]]


def run(cluster, folder, what, **options):
    """Runs a batch in a job to its end; all of it must be well."""
    made = submit(cluster, folder, what, **options)
    code, outcomes = made.end()
    assert code == 0, made.told()
    assert sorted(made.ledgered()) == sorted(outcome["id"] for outcome in outcomes)
    assert_each_in_its_partition(outcomes)
    return outcomes


@pytest.mark.parametrize("launcher", ["srun", "hydra", "openmpi"])
def test_two_directors_share_four_nodes_and_work_at_the_same_time(cluster, tmp_path, launcher):
    outcomes = run(cluster, tmp_path / "r", batch(sleeps(80, 0.2), pool={"launcher": launcher}))
    assert {outcome["director"]: outcome["partition"] for outcome in outcomes} == {
        0: ["node1", "node2"],
        1: ["node3", "node4"],
    }
    found = by_host(outcomes)
    assert set(found) == {(0, "node1"), (0, "node2"), (1, "node3"), (1, "node4")}
    # Even shares, but for what one that starts earlier does meanwhile.
    assert all(found[director, a] + found[director, b] >= 20 for director, a, b in
               ((0, "node1", "node2"), (1, "node3", "node4")))  # fmt: skip
    assert_at_the_same_time(outcomes)


@pytest.mark.parametrize(
    ("mpiexec", "kind"), [("hydra", "hydra"), ("openmpi", "openmpi"), ("pals", "pals")], ids=lambda value: value
)
def test_pbs_and_whatever_mpiexec_it_has(cluster, tmp_path, mpiexec, kind):
    """The launcher is found out; and PBS names each host twice, once for each rank."""
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "batch.json").write_text(json.dumps(batch(sleeps(24, 1.0))))
    script = (
        f"cd {folder}; {DIRECTOR} partitions batch.json --json > carve.json; "
        f"{DIRECTOR} run batch.json --run-dir run --json --no-report > out.jsonl; echo $? > rc"
    )
    job = cluster.pbs_job(script, mpiexec=mpiexec, mpiprocs=2, environment=AS_ROOT)
    job.wait(90)
    assert (folder / "rc").read_text().strip() == "0", job.output
    carve = json.loads((folder / "carve.json").read_text())
    assert carve["launcher"]["kind"] == kind
    assert (carve["allocation"]["scheduler"], carve["allocation"]["job_id"]) == ("pbs", job.id)
    assert carve["allocation"]["deadline"] is not None
    assert [node["hostname"] for node in carve["allocation"]["nodes"]] == cluster.nodes
    outcomes = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert_each_in_its_partition(outcomes)
    assert {outcome["host"] for outcome in outcomes} == set(cluster.nodes)


@pytest.mark.parametrize(
    ("settings", "partitions"),
    [
        ({"directors": 3, "shares": [1, 1, 2]}, [["node1"], ["node2"], ["node3", "node4"]]),
        ({"directors": 1}, [["node1", "node2", "node3", "node4"]]),
        ({"directors": 4}, [["node1"], ["node2"], ["node3"], ["node4"]]),
        ({"directors": 2, "hosts": ["node[2,4]", "node1,node3"]}, [["node2", "node4"], ["node1", "node3"]]),
        ({"directors": 2, "pool": {"lead_workers": 0}}, [["node2", "node3"], ["node4"]]),
        ({"directors": 1, "pool": {"nodes_per_block": 3}}, [["node1", "node2", "node3", "node4"]]),
        ({"pool": {"nodes_per_block": 2, "launcher": "hydra"}}, HALVES),
        ({"pool": {"nodes_per_block": 2, "launcher": "openmpi"}}, HALVES),
    ],
    ids=["weights", "one", "four", "hosts", "lead node free", "several nodes per block", "by Hydra", "by Open MPI"],
)  # fmt: skip
def test_other_shares(cluster, tmp_path, settings, partitions):
    what = batch(sleeps(24, 1.5), **settings)
    outcomes = run(cluster, tmp_path / "r", what)
    log = "".join(path.read_text() for path in (tmp_path / "r" / "run").glob("director-*/director.log"))
    assert all(f"{name} is up" in log for names in partitions for name in names), log
    found = {outcome["director"]: outcome["partition"] for outcome in outcomes}
    assert [found[index] for index in range(len(partitions))] == partitions
    assert {outcome["host"] for outcome in outcomes} == {name for names in partitions for name in names}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"directors": 5}, "5 Directors cannot share 4 nodes"),
        ({"nodes": 8}, "8 were asked for, but Slurm job"),
        ({"pool": {"launcher": "pals"}}, "pals was not found"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_numbers_and_starts_nothing(cluster, tmp_path, settings, message):
    made = submit(cluster, tmp_path / "r", batch(sleeps(1, 0.0), **settings))
    code, outcomes = made.end()
    assert (code, outcomes) == (2, [])
    assert message in made.job.output
    assert not made.run_folder.exists()


def test_what_would_be_started_is_shown_and_nothing_is_started(cluster, tmp_path):
    """``director partitions`` in a job, and the same from elsewhere with the environment of the job."""
    own = f"env -0 > {tmp_path}/env; {DIRECTOR} partitions --directors 2 --json > {tmp_path}/inside.json"
    job = cluster.sbatch(f"{own}; {DIRECTOR} partitions --directors 2", args=["--time=10"])
    job.wait(60)
    inside = json.loads((tmp_path / "inside.json").read_text())
    assert [part["hostnames"] for part in inside["partitions"]] == [["node1", "node2"], ["node3", "node4"]]
    assert [len(part["commands"]) for part in inside["partitions"]] == [2, 2]
    assert "--nodelist=node3" in inside["partitions"][1]["commands"][0]
    assert re.search(r"slurm job \d+: 4 nodes node\[1-4\], until .*Directors on node1", " ".join(job.output.split()))
    assert "▣ 0  ■ 0  ■ 1  ■ 1" in job.output
    looked = cluster.run("login", [str(DIRECTOR), "partitions", "--directors", "2", "--json",
                                   "--environment", str(tmp_path / "env")])  # fmt: skip
    outside = json.loads(looked.stdout)
    for document in (inside, outside):  # when it would have ended, and when it did
        assert document["allocation"].pop("deadline")
    assert outside == inside
    assert not any(cluster.pids(name, "keeper.py") for name in cluster.nodes)
