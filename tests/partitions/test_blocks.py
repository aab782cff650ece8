import json
import os
import shlex
import sys
from dataclasses import dataclass

import pytest
from parsl.jobs.states import JobState

from partitions.blocks import PartitionProvider
from partitions.launchers import LaunchCommand, ProcessLauncher
from partitions.line import Line
from tests.helpers import alive, partition, wait_until
from tests.partitions.keeping import SLEEP, of_block, orders

SLEEPING = shlex.join(SLEEP)


def python(code):
    return shlex.join([sys.executable, "-S", "-c", code])


@dataclass
class Blocks:
    """A provider over two logical nodes, and what it works with."""

    provider: PartitionProvider
    line: Line
    orders: list

    def start(self, *nodes, command=SLEEPING):
        self.provider.want(nodes)
        return self.provider.submit(command, 1)

    def holding(self):
        return {node for view in self.provider.blocks().values() for node in view.holding}

    def states(self, *jobs):
        return [status.state for status in self.provider.status(jobs)]


def made(tmp_path, launcher):
    line = Line("127.0.0.1")
    given = []

    def order(block, nodes, command):
        mark = given[0].mark if given else None
        given.append(orders(line, command, block=block, names=nodes, mark=mark))
        return given[-1]

    provider = PartitionProvider(
        partition(2), launcher=launcher, line=line, orders=order, environment=dict(os.environ), folder=tmp_path / "b"
    )
    return Blocks(provider, line, given)


@pytest.fixture
def blocks(tmp_path):
    found = made(tmp_path, ProcessLauncher())
    yield found
    found.provider.cancel_all()
    found.line.close()


def test_a_block_runs_on_the_nodes_that_were_wanted(blocks):
    jobs = [blocks.start("local-1"), blocks.start("local-0")]
    wait_until(lambda: blocks.holding() == {"local-0", "local-1"})
    assert [blocks.provider.blocks()[job].nodes for job in jobs] == [("local-1",), ("local-0",)]
    assert blocks.states(*jobs) == [JobState.RUNNING] * 2


def test_a_node_is_never_given_to_two_blocks_nor_one_outside_the_partition(blocks):
    job = blocks.start("local-0")
    with pytest.raises(ValueError, match="local-0 already runs a block"):
        blocks.provider.want(["local-0"])
    with pytest.raises(ValueError, match="node9 is not in partition-0"):
        blocks.provider.want(["node9"])
    with pytest.raises(RuntimeError, match="no nodes"):
        blocks.provider.submit(SLEEPING, 1)
    wait_until(lambda: blocks.holding() == {"local-0"})
    blocks.provider.cancel([job])
    assert blocks.states(job) == [JobState.CANCELLED]
    assert blocks.start("local-0") != job


def test_a_block_that_fails_says_so_with_its_output(blocks):
    job = blocks.start("local-0", command=python('import sys; sys.exit("no such module: parsl")'))
    wait_until(lambda: blocks.states(job) == [JobState.FAILED])
    view = blocks.provider.blocks()[job]
    assert view.exited == "ended with exit code 1"
    assert "no such module: parsl" in view.said()
    blocks.provider.want(["local-0"])


def test_cancelling_ends_what_the_block_started(blocks):
    code = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    job = blocks.start("local-0", command=python(code))
    wait_until(lambda: len(of_block(blocks.orders[0])) == 2)
    pids = of_block(blocks.orders[0])
    blocks.provider.cancel([job])
    wait_until(lambda: not any(alive(pid) for pid in pids), 5, "the end of the block")


def test_a_node_that_is_left_is_free_and_its_keeper_ends(blocks):
    job = blocks.start("local-0")
    wait_until(lambda: blocks.holding() == {"local-0"})
    blocks.provider.leave(job, "local-0")
    assert blocks.holding() == set()
    blocks.provider.want(["local-0"])
    wait_until(lambda: of_block(blocks.orders[0]) == [])


def test_the_secret_of_the_line_is_in_a_private_file_only_for_as_long_as_the_block(blocks, tmp_path):
    job = blocks.start("local-0")
    (path,) = (tmp_path / "b").glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert blocks.line.token in path.read_text()
    wait_until(lambda: blocks.holding() == {"local-0"})
    for pid in of_block(blocks.orders[0]):
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as stream:  # noqa: PTH123
                assert blocks.line.token.encode() not in stream.read()
    blocks.provider.cancel([job])
    assert not path.exists()


class MissingLauncher(ProcessLauncher):
    def command(self, hostnames, program):
        return LaunchCommand(["/no/such/launcher"])


def test_a_launcher_that_is_not_there_is_a_block_that_has_ended(tmp_path):
    blocks = made(tmp_path, MissingLauncher())
    job = blocks.start("local-0")
    assert blocks.states(job) == [JobState.FAILED]
    assert "/no/such/launcher" in blocks.provider.blocks()[job].exited
    blocks.provider.cancel_all()
    blocks.line.close()


def test_a_command_is_never_given_to_a_shell(blocks, tmp_path):
    trap = tmp_path / "trap"
    before = dict(os.environ)
    program = python("import json, sys; print(json.dumps(sys.argv[1:]))")
    job = blocks.start("local-0", command=f"{program} $(touch {trap}) ';' `x`")
    wait_until(lambda: blocks.states(job) == [JobState.FAILED])
    assert not trap.exists()
    assert json.loads(blocks.provider.blocks()[job].said())[0] == "$(touch"
    assert dict(os.environ) == before
