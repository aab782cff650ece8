"""The doctor on the login host of a real Slurm cluster: what it says is what Slurm would do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import endpoint_templates as templates
from tests.cluster.cluster import LOGIN_ADDRESS, Cluster
from tests.cluster.machine import SEARCH_PATH

COMMAND = ("-m", "director", "endpoint", "check")


@pytest.fixture(scope="module")
def partitions(cluster: Cluster) -> None:
    """Two partitions beside the one that takes everything."""
    short = ["PartitionName=short", "Nodes=node[1-2]", "MaxTime=30", "MaxNodes=2"]
    for words in (short, ["PartitionName=shut", "Nodes=ALL", "State=DOWN"]):
        cluster.run("login", ["scontrol", "create", *words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an endpoint for Slurm."""
    return configure(tmp_path / "hpc", LOGIN_ADDRESS)


def configure(folder: Path, address: str) -> Path:
    kind = "venv" if (Path(sys.prefix) / "bin" / "activate").exists() else "conda"
    given = {"environment": sys.prefix, "environment_kind": kind, "address": address}
    templates.configure(templates.find("slurm"), folder, given, search_path=SEARCH_PATH)
    return folder


def check(cluster: Cluster, folder: Path, *options: str) -> dict[str, dict[str, str]]:
    """What the doctor says of the scheduler and the address, by check."""
    words = [word for option in options for word in ("--set", option)]
    command = [sys.executable, *COMMAND, "--dir", str(folder), "--offline", "--json", *words]
    done = cluster.run("login", command, check=False, timeout_s=120)
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    found = {one["check"]: one for one in document["findings"] if one["topic"] in ("scheduler", "address")}
    wrong = any(one["state"] == "failed" for one in document["findings"])
    assert done.returncode == int(wrong)
    return found


def failed(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: f"{one['found']} → {one['hint']}" for name, one in found.items() if one["state"] == "failed"}


def jobs(cluster: Cluster) -> str:
    return cluster.run("login", ["squeue", "--noheader", "--states=all"]).stdout


def test_a_job_that_slurm_takes_is_well_and_none_is_submitted(cluster, partitions, folder):
    found = check(cluster, folder, "nodes=4", "queue=work")
    assert failed(found) == {}
    assert "to start at" in found["sbatch --test-only"]["found"]
    assert "4 of at most 4 nodes" in found["limits"]["found"]
    assert found["workers' way back"]["found"] == LOGIN_ADDRESS
    assert found["account"]["state"] == "not checked"
    assert jobs(cluster) == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["queue=wrok"], {"partition": "'wrok' is not known", "sbatch --test-only": "Invalid partition name"}),
        (
            ["nodes=5", "queue=work"],
            {"limits": "5 nodes, of which a job may have 4", "sbatch --test-only": "`nodes` is 5"},
        ),
        (["nodes=1", "queue=short", "walltime_s=3600"], {"limits": "01:00:00, where a job may take 00:30:00"}),
        (["nodes=1", "queue=shut"], {"partition": "shut is DOWN"}),
        (["nodes=1", "queue=work", "constraint=gpu"], {"sbatch --test-only": "`constraint`"}),
        (["nodes=1", "queue=work", "gpus_per_node=4"], {"sbatch --test-only": "accelerators"}),
        (["nodes=1", "queue=work", "reservation=mine"], {"sbatch --test-only": "`reservation`"}),
    ],
)
def test_what_slurm_would_not_take_is_told(cluster, partitions, folder, options, expected):
    found = failed(check(cluster, folder, *options))
    assert set(found) == set(expected)
    for name, words in expected.items():
        assert words in found[name]
    assert jobs(cluster) == ""


def test_an_address_of_another_machine_is_told(cluster, tmp_path):
    found = failed(check(cluster, configure(tmp_path / "hpc", "10.77.0.1"), "queue=work"))
    assert "10.77.0.1 is no address of this machine" in found["workers' way back"]


def test_a_controller_that_is_down_is_told(cluster, folder):
    """The last test of the module: the cluster's controller does not come back."""
    subprocess.run(["kill", "-KILL", str(cluster.daemon_pid("login", "slurmctld"))], check=True)
    found = failed(check(cluster, folder, "queue=work"))
    assert set(found) == {"partition"}
    assert "Unable to contact slurm controller" in found["partition"]
