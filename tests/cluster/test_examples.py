"""The job scripts of the examples, submitted as a user would, from a folder that holds them."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.cluster.runs import AS_ROOT, DIRECTOR

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def prepared(folder):
    """A folder with the examples, and a search path with ``director``."""
    shutil.copytree(EXAMPLES, folder / "examples")
    return folder, f"{DIRECTOR.parent}:"


def assert_all_ok(folder, name, output):
    (run,) = (folder / "runs").glob(name)
    done = subprocess.run([DIRECTOR, "outcomes", run, "--json"], capture_output=True, text=True, check=True)
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == 6, output
    assert {outcome["host"] for outcome in outcomes} <= {"node1", "node2", "node3", "node4"}
    assert (run / "report.html").exists()
    assert "4 nodes node[1-4]" in " ".join(output.split())


def test_slurm(cluster, tmp_path):
    folder, path = prepared(tmp_path)
    environment = {**AS_ROOT, "PATH": path + "/usr/bin:/bin"}
    done = cluster.run("login", ["sbatch", "--parsable", "examples/slurm.sh"], environment=environment, cwd=folder)
    (job,) = done.stdout.split()
    state = cluster.run("login", ["bash", "-c", WAIT.format(job=job)], timeout_s=120).stdout
    output = (folder / f"slurm-{job}.out").read_text()
    assert "JobState=COMPLETED" in state, output
    assert_all_ok(folder, f"slurm-{job}", output)


WAIT = """while squeue -h -j {job} | grep -q .; do sleep 0.5; done; scontrol show job {job}"""


def test_pbs(cluster, tmp_path):
    folder, path = prepared(tmp_path)
    environment = {**AS_ROOT, **cluster.pbs_environment("hydra")}
    environment["PATH"] = path + environment["PATH"]
    output = folder / "out.txt"
    done = cluster.run(
        "login", ["qsub", "-V", "-o", str(output), "examples/pbs.sh"], environment=environment, cwd=folder
    )
    job = done.stdout.strip()
    waiting = f'until qstat -x -f -F json {job} | grep -q \'"job_state": *"F"\'; do sleep 0.5; done'
    cluster.run("login", ["bash", "-c", waiting], environment=environment, timeout_s=120)
    assert_all_ok(folder, f"pbs-{job.partition('.')[0]}", output.read_text())
