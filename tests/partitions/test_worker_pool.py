"""What a worker does before it becomes Parsl's, in a process of its own, since it changes its environment."""

import json
import os
import subprocess
import sys

from partitions.bindings import Owned, dump

PROGRAM = """
import json, os
from partitions import worker_pool
def parsl_worker(rank, *arguments):
    print(json.dumps({"rank": rank, "arguments": arguments, "cores": sorted(os.sched_getaffinity(0)),
                      "environment": dict(os.environ)}))
worker_pool._parsl_worker = parsl_worker
worker_pool.worker(1, "pool", 2)
"""


def worker(owned, **environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "DIRECTOR_HOST": "node7", "DIRECTOR_BINDINGS": dump(owned), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_worker_takes_its_cores_threads_and_accelerator_and_then_is_parsls():
    core = max(os.sched_getaffinity(0))
    found = worker([Owned((), 9, "8"), Owned((core,), 1, "3")], CUDA_VISIBLE_DEVICES="0,1,2,3", OMP_NUM_THREADS="64")
    assert (found["rank"], found["arguments"]) == (1, ["pool", 2])
    assert found["cores"] == [core]
    environment = found["environment"]
    assert environment["CUDA_VISIBLE_DEVICES"] == environment["ROCR_VISIBLE_DEVICES"] == "3"
    assert environment["HIP_VISIBLE_DEVICES"] == "0"
    assert environment["OMP_NUM_THREADS"] == environment["OPENMM_CPU_THREADS"] == "1"
    assert json.loads(environment["DIRECTOR_WORKER"]) == {
        "host": "node7", "rank": 1, "threads": 1, "accelerator": "3"
    }  # fmt: skip


def test_a_worker_that_owns_no_core_may_use_any():
    found = worker([Owned((), 1), Owned((), 1)])
    assert found["cores"] == sorted(os.sched_getaffinity(0))
    assert "ROCR_VISIBLE_DEVICES" not in found["environment"] or os.environ.get("ROCR_VISIBLE_DEVICES")


def test_a_worker_loads_what_it_is_told_before_it_waits_for_tasks(tmp_path):
    (tmp_path / "first.py").write_text("import os\ndef load():\n    os.environ['LOADED'] = 'yes'\n")
    owned = [Owned((), 1), Owned((), 1)]
    found = worker(owned, DIRECTOR_WARM="first:load", PYTHONPATH=str(tmp_path))
    assert found["environment"]["LOADED"] == "yes"


def test_what_cannot_be_loaded_is_left_to_the_first_task_to_say():
    found = worker([Owned((), 1), Owned((), 1)], DIRECTOR_WARM="no_such_module:load")
    assert found["environment"]["DIRECTOR_WARM"] == "no_such_module:load"
