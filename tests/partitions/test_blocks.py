import json
import os
import sys

import pytest
from parsl.jobs.states import JobState

from partitions.allocation import Node
from partitions.blocks import PartitionProvider, ProcessStarter
from tests.helpers import alive, partition, wait_until

PYTHON = f"'{sys.executable}' -S -c"
SLEEP = f"{PYTHON} 'import time; time.sleep(600)'"


@pytest.fixture
def provider(tmp_path):
    made = PartitionProvider(
        partition(2), starter=ProcessStarter(), environment=dict(os.environ), log_folder=tmp_path / "logs"
    )
    yield made
    made.cancel_all()


def states(provider, jobs):
    return [status.state for status in provider.status(jobs)]


def test_each_block_gets_a_node_of_its_own_and_no_more_blocks_than_nodes(provider):
    jobs = [provider.submit(SLEEP, 1), provider.submit(SLEEP, 1)]
    assert [job.rpartition(".")[0] for job in jobs] == ["local-0", "local-1"]
    assert states(provider, jobs) == [JobState.RUNNING] * 2
    with pytest.raises(RuntimeError, match="already runs a block"):
        provider.submit(SLEEP, 1)


def test_a_node_is_taken_back_when_its_block_ends(provider):
    first, _ = provider.submit(SLEEP, 1), provider.submit(SLEEP, 1)
    assert provider.cancel([first]) == [True]
    assert states(provider, [first]) == [JobState.CANCELLED]
    assert provider.submit(SLEEP, 1).startswith("local-0.")


def test_a_block_that_fails_says_so_with_its_output(provider):
    job = provider.submit(f"""{PYTHON} 'import sys; sys.exit("no such module: parsl")'""", 1)
    wait_until(lambda: states(provider, [job]) == [JobState.FAILED])
    failure = provider.failures()["local-0"]
    assert "exit code 1" in failure.reason
    assert "no such module: parsl" in failure.reason
    assert failure.job_id == job


def test_cancelling_ends_what_the_block_started(provider, tmp_path):
    child = tmp_path / "child.pid"
    code = (
        "import os, subprocess, sys, time; "
        f'p = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]); '
        f'open("{child}.new", "w").write(str(p.pid)); os.rename("{child}.new", "{child}"); time.sleep(600)'
    )
    job = provider.submit(f"{PYTHON} '{code}'", 1)
    wait_until(child.exists)
    provider.cancel([job])
    wait_until(lambda: not alive(int(child.read_text())))


def test_what_a_dead_worker_pool_left_running_ends_before_the_node_is_used_again(provider, tmp_path):
    child = tmp_path / "child.pid"
    code = (
        "import os, subprocess, sys; "
        f'p = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]); '
        f'open("{child}", "w").write(str(p.pid))'
    )
    job = provider.submit(f"{PYTHON} '{code}'", 1)
    wait_until(lambda: states(provider, [job]) == [JobState.FAILED])
    provider.submit(SLEEP, 1)
    provider.submit(SLEEP, 1)
    wait_until(lambda: not alive(int(child.read_text())))


def test_the_worker_pool_learns_its_node_and_its_threads_and_this_process_environment_stays(tmp_path):
    before = dict(os.environ)
    command = ProcessStarter(threads_per_worker=3).command(Node("local-7", (4, 5)), ["pool", "a b"], {"PATH": "/bin"})
    assert command.arguments == ["pool", "a b"]
    assert command.environment["DIRECTOR_HOST"] == "local-7"
    assert command.environment["DIRECTOR_CORES"] == "4,5"
    assert command.environment["OPENMM_CPU_THREADS"] == command.environment["OMP_NUM_THREADS"] == "3"
    assert command.environment["PATH"] == "/bin"
    assert dict(os.environ) == before


def test_a_command_is_never_given_to_a_shell(provider, tmp_path):
    trap = tmp_path / "trap"
    job = provider.submit(f"{PYTHON} 'import json, sys; print(json.dumps(sys.argv[1:]))' $(touch {trap}) ';' `x`", 1)
    wait_until(lambda: states(provider, [job]) == [JobState.FAILED])
    assert not trap.exists()
    reason = provider.failures()["local-0"].reason
    assert json.loads(reason.partition(": ")[2])[0] == "$(touch"
