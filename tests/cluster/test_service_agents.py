"""One job with all in it: a language model on one node, Directors on the others, reasoners on the lead node."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from director.runfolder import RunFolder
from tests.cluster.cluster import Cluster
from tests.cluster.runs import AS_ROOT, DIRECTOR, Run
from tests.cluster.test_service import llm, servers
from tests.helpers import end_all, wait_until

SEEDS = ("CNC(N)=O", "CC1=C(O)N=C(O)N1")
END_S = 400.0
GONE_S = 60.0


def serve(cluster: Cluster, folder: Path, command: str, **service: Any) -> Run:
    """Submits a job that serves a stand-in and runs a command beside it, with ``run`` as its run folder."""
    folder.mkdir(parents=True)
    what = llm(**service)
    what["arguments"] = [*what["arguments"][:-1], "tests.llm.minds_reasoner:reasoner", "--log", "{folder}/log.jsonl"]
    (folder / "llm.json").write_text(json.dumps({"services": [what]}))
    script = (
        f"cd {folder}\nexport OMP_NUM_THREADS=1\n"
        f"{DIRECTOR} serve llm.json --run-dir served -- {command} > out.jsonl\necho $? > rc.new\nmv rc.new rc\n"
    )
    temporary = cluster.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    job = cluster.sbatch(script, nodes=4, environment={**AS_ROOT, "TMPDIR": str(temporary)})
    return Run(cluster, folder, job)


def reasoners(molecules: int) -> str:
    """Two reasoners that share two Directors."""
    seeds = " ".join(f"--seed-molecule '{smiles}'" for smiles in SEEDS)
    limits = f"--molecules {molecules} --rounds 40 --calls 2 --directors 2 --workers-per-node 1"
    return f"{DIRECTOR} reason {seeds} {limits} --run-dir run --json"


def test_reasoners_their_model_and_directors_in_one_job(cluster: Cluster, tmp_path: Path) -> None:
    run = serve(cluster, tmp_path / "r", reasoners(6))
    wait_until(lambda: bool(servers(run)), 90, "the server")
    assert list(servers(run)) == ["node4"]
    wait_until(lambda: (run.folder / "rc").exists(), END_S, f"the end of\n{run.job.output}")
    assert (run.folder / "rc").read_text().strip() == "0", run.told()
    record = RunFolder(run.run_folder).read()
    assert [name for hosts in record.partitions for name in hosts] == ["node1", "node2", "node3"]
    ids = run.ledgered()
    assert len(ids) == len(set(ids)) == 6
    asked = [json.loads(line) for line in (tmp_path / "r/served/services/llm/log.jsonl").read_text().splitlines()]
    asked = [one for one in asked if one["body"]]  # the others are those by which its key was tried
    assert asked
    assert all(one["authorized"] and one["status"] == 200 for one in asked)
    assert any(word in json.dumps(asked) for word in ids)  # what Directors found is what the model was told
    assert re.search(r"service llm on node4: up at http://10\.77\.0\.4:\d+/v1", run.job.output)
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")
    assert not list((tmp_path / "r/served").rglob("api-key"))


def test_nothing_is_left_when_whoever_serves_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    run = serve(cluster, tmp_path / "r", reasoners(30))
    wait_until(lambda: (run.run_folder / "director-0").exists(), 120, f"the Directors\n{run.job.output}")
    assert servers(run)
    end_all(cluster.pids("node1", str(DIRECTOR), "serve"))
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")
    assert not cluster.pids("node1", str(DIRECTOR), "reason")
    run.job.cancel()
    run.job.wait(60)


def test_a_command_is_ended_when_the_service_that_it_needs_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    run = serve(cluster, tmp_path / "r", "sh -c 'touch begun; exec sleep 600'", restarts=0)
    wait_until(lambda: (run.folder / "begun").exists(), 90, "the command")
    end_all(servers(run)["node4"])
    wait_until(lambda: (run.folder / "rc").exists(), 90, f"the end of\n{run.job.output}")
    assert (run.folder / "rc").read_text().strip() == "3"
    assert "service 'llm' is failed on node4" in run.job.output
    wait_until(lambda: not run.left() and not servers(run), GONE_S, "the end of all")
