"""``director partitions``: the picture, the document, and what is refused. It starts nothing."""

import json
import os
import shlex
import subprocess
import sys

import pytest

JOB = """SLURM_JOB_ID=4711
SLURM_JOB_NODELIST=nid[001-004,007-010]
SLURM_JOB_NUM_NODES=8
SLURM_JOB_CPUS_PER_NODE=64(x8)
SLURM_GPUS_PER_NODE=4
SLURM_JOB_END_TIME=1795240800
"""


@pytest.fixture
def machine(tmp_path):
    """A search path with an srun and an mpiexec that must not be started, and the environment of a job there."""
    for name, version in (("srun", "slurm 22.05"), ("mpiexec", "PALS mpiexec version 1.2.12")):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{version}"; else touch {tmp_path}/ran; fi\n'
        )
        program.chmod(0o755)
    (tmp_path / "job.env").write_text(JOB + f"PATH={tmp_path}/bin\n")
    return tmp_path


def partitions(machine, *words, code=0, job=True):
    environment = ["--environment", str(machine / "job.env")] if job else []
    done = subprocess.run(
        [sys.executable, "-m", "director", "partitions", *environment, *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=machine,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stderr
    assert not (machine / "ran").exists(), "something was started"
    return done.stdout if code == 0 else " ".join(done.stderr.split())


def document(machine, *words, **options):
    return json.loads(partitions(machine, *words, "--json", **options))


def test_the_document_says_what_a_run_would_get_and_start(machine):
    found = document(machine, "--shares", "1,1,2", "--workers-per-accelerator", "2", "--lead-workers", "1")
    assert found["allocation"]["scheduler"] == "slurm"
    assert found["allocation"]["job_id"] == "4711"
    assert found["allocation"]["deadline"] == "2026-11-21T06:00:00+00:00"
    assert found["allocation"]["lead"] == "nid001"
    assert found["allocation"]["nodes"][7] == {
        "hostname": "nid010",
        "cores": 64,
        "accelerators": ["0", "1", "2", "3"],
    }
    assert found["launcher"] == {"kind": "srun", "program": str(machine / "bin" / "srun")}
    assert [part["hostnames"] for part in found["partitions"]] == [
        ["nid001", "nid002"],
        ["nid003", "nid004"],
        ["nid007", "nid008", "nid009", "nid010"],
    ]
    lead, other = found["partitions"][0]["nodes"]
    assert [worker["accelerator"] for worker in other["workers"]] == list("00112233")
    assert lead["workers"] == other["workers"][-1:]
    assert other["workers"][1] == {"cores": list(range(8, 16)), "threads": 8, "accelerator": "0"}
    assert [part["workers"] for part in found["partitions"]] == [9, 16, 32]
    commands = found["partitions"][2]["commands"]
    assert [word for command in commands for word in command if word.startswith("--nodelist")] == [
        f"--nodelist=nid0{number}" for number in ("07", "08", "09", "10")
    ]


def test_several_nodes_can_share_a_command_and_another_launcher_be_chosen(machine):
    found = document(machine, "--directors", "2", "--nodes-per-block", "3", "--launcher", "pals")
    assert found["launcher"]["kind"] == "pals"
    hosts = [[part for part in command if part.startswith("nid")] for command in found["partitions"][0]["commands"]]
    assert hosts == [["nid001,nid002,nid003"], ["nid004"]]


def test_the_batch_file_and_the_command_line_together(machine):
    batch = {
        "directors": 2,
        "hosts": ["nid00*", "nid010"],
        "accelerators": ["0.0", "0.1"],
        "pool": {"nodes_per_block": 7},
        "requests": [{"tool": "mock_md"}],
    }
    (machine / "batch.json").write_text(json.dumps(batch))
    found = document(machine, "batch.json")
    assert [len(part["hostnames"]) for part in found["partitions"]] == [7, 1]
    assert len(found["partitions"][0]["commands"]) == 1
    assert [worker["accelerator"] for worker in found["partitions"][1]["nodes"][0]["workers"]] == ["0.0", "0.1"]
    changed = document(machine, "batch.json", "--sizes", "4,4", "--nodes-per-block", "1")
    assert [len(part["commands"]) for part in changed["partitions"]] == [4, 4]


def test_the_picture_shows_every_node_with_its_director(machine):
    shown = partitions(machine, "--sizes", "3,4", "--lead-workers", "0")
    assert "slurm job 4711: 8 nodes nid[001-004,007-010], until 2026-11-21 06:00:00 UTC, Directors on nid001" in shown
    assert "▣ –  ■ 0  ■ 0  ■ 0  ■ 1  ■ 1  ■ 1  ■ 1  (▣ lead node, kept free of workers)" in shown
    assert "nid[002-004]  (3)  64 cores, 4 accelerators  4 × 16 threads" in " ".join(shown.split(" ")).replace(
        "   ", "  "
    )
    assert "--nodelist=nid002" in shown
    assert "and 2 more like it" in shown


def test_without_a_job_it_shows_logical_nodes(machine):
    found = document(machine, "--directors", "2", "--nodes", "4", "--allocation", "local", job=False)
    assert found["allocation"]["scheduler"] == "local"
    assert found["launcher"] == {"kind": "process", "program": None}
    assert [part["hostnames"] for part in found["partitions"]] == [["local-0", "local-1"], ["local-2", "local-3"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--directors 9", "directors: 9 Directors cannot share 8 nodes"),
        ("--nodes 4", "nodes: 4 were asked for, but Slurm job 4711 has 8 nodes"),
        ("--shares 1,x", "shares: '1,x' is not a list of numbers"),
        ("--shares 1,1 --sizes 4,4", "shares: shares and sizes were both given"),
        ("--hosts nid001", "hosts: no entry names nid002"),
        ("--launcher hydra", "launcher: hydra was not found"),
        ("--launcher process", "launcher: process starts workers on this machine only"),
        ("--launcher ssh", "launcher: "),
        ("--allocation cobalt", "allocation"),
        ("--allocation pbs", "PBS_JOBID"),
        ("--accelerators '0;rm'", "accelerators: '0;rm' is not a name"),
        ("--workers-per-node 2 --workers-per-accelerator 2", "workers_per_accelerator: workers_per_node was given"),
        ("nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field(machine, words, message):
    assert message in partitions(machine, *shlex.split(words), code=2)


def test_from_elsewhere_the_launcher_need_not_be_installed(machine):
    (machine / "job.env").write_text(JOB + "PATH=/nowhere\n")
    assert document(machine)["launcher"] == {"kind": "srun", "program": "srun"}
    assert document(machine, "--launcher", "pals")["launcher"] == {"kind": "pals", "program": "mpiexec"}


def test_a_wrong_setting_of_the_pool_is_named_as_it_stands_in_the_file(machine):
    for pool, message in (
        ({"luncher": "srun"}, "pool.luncher: 'luncher' is not known"),
        ({"node_wait_s": "60"}, "pool.node_wait_s"),
    ):
        (machine / "batch.json").write_text(json.dumps({"pool": pool, "requests": [{"tool": "mock_md"}]}))
        assert message in partitions(machine, "batch.json", code=2)


def test_an_environment_that_cannot_be_read_is_refused(machine):
    assert "environment: " in partitions(machine, "--environment", "nowhere.env", job=False, code=2)


def test_a_broken_environment_names_the_variable(machine):
    text = (machine / "job.env").read_text().replace("64(x8)", "64(x7)")
    (machine / "job.env").write_text(text)
    assert "SLURM_JOB_CPUS_PER_NODE" in partitions(machine, code=2)
