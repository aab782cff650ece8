import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from partitions.allocation import Node
from partitions.keeper import BROKEN, NO_DIRECTOR, WRONG_HOST, Orders, Post, post_of
from partitions.line import Line
from tests.helpers import alive, wait_until
from tests.partitions.keeping import SLEEP, of_block, orders, start

START_CHILD = (
    "import os, subprocess, sys, time; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); "
)


def pool(body):
    return [sys.executable, "-S", "-c", body]


def come(line):
    wait_until(lambda: len(line.keepers()) == 1, what="the keeper's call")


def test_a_keeper_says_where_it_is_and_its_pool_lives_until_the_line_breaks(line, tmp_path):
    what = orders(line, SLEEP)
    process = start(tmp_path, what)
    come(line)
    keeper = line.keepers()[0]
    assert (keeper.block, keeper.node, keeper.host) == ("0", "local-0", socket.gethostname())
    wait_until(lambda: len(of_block(what)) == 1)
    line.hang_up("0")
    assert process.wait(10) == 0
    assert of_block(what) == []


def test_a_keeper_that_is_killed_takes_its_pool_and_its_folder_with_it(line, tmp_path):
    what = orders(line, pool(START_CHILD + "time.sleep(600)"))
    with tempfile.TemporaryDirectory() as own:
        process = start(tmp_path, what, env={**os.environ, "TMPDIR": own})
        wait_until(lambda: len(of_block(what)) == 2)
        assert len(list(Path(own).iterdir())) == 1
        process.kill()
        wait_until(lambda: of_block(what) == [], 5, "the end of the pool")
        wait_until(lambda: list(Path(own).iterdir()) == [], 5, "the end of the folder")
    wait_until(lambda: line.keepers() == [])


def test_a_keeper_that_is_killed_as_soon_as_it_has_a_folder_leaves_none(line, tmp_path):
    with tempfile.TemporaryDirectory() as own:
        process = start(tmp_path, orders(line, SLEEP), env={**os.environ, "TMPDIR": own})
        while not os.listdir(own):  # noqa: PTH208  (the quickest way to look)
            assert process.poll() is None
        process.kill()
        wait_until(lambda: list(Path(own).iterdir()) == [], 60, "the end of the folder")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_keeper_that_is_asked_to_end_does(line, tmp_path, number):
    what = orders(line, SLEEP)
    process = start(tmp_path, what)
    wait_until(lambda: len(of_block(what)) == 1)
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert of_block(what) == []


def warned_of(line):
    return {number for keeper in line.keepers() for number in keeper.warned}


# A worker pool that passes its signals on to a helper, as Slurm signals all processes of a step.
MANY = "import subprocess; child = subprocess.Popen(['sleep', '600']); print('begun', flush=True); child.wait()"


def signal_all(what, process, number):
    """Signals a keeper and all that it has started, its guard too, as Slurm signals a step."""
    for pid in [*of_block(what), *descendants(process.pid)]:
        os.kill(pid, number)


def descendants(pid):
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


def guard_of(process):
    (found,) = (pid for pid in descendants(process.pid) if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


def test_a_sigterm_is_told_to_the_director_and_the_pool_lives_on(line, tmp_path):
    what = orders(line, pool(MANY))
    process = start(tmp_path, what)
    assert process.stdout.readline() == "begun\n"
    come(line)
    guard = guard_of(process)
    signal_all(what, process, signal.SIGTERM)
    wait_until(lambda: warned_of(line) == {signal.SIGTERM}, 20, "the warning")
    assert len(of_block(what)) == 2
    assert alive(guard)
    line.hang_up("0")
    assert process.wait(20) == 0
    assert of_block(what) == []


def test_when_the_time_after_a_sigterm_is_over_the_pool_ends(line, tmp_path):
    what = replace(orders(line, pool(MANY)), keep_s=1.5)
    process = start(tmp_path, what)
    assert process.stdout.readline() == "begun\n"
    come(line)
    for _ in range(2):  # Slurm sends it twice
        process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 128 + signal.SIGTERM
    assert "SIGTERM came 1.5 s ago" in process.stderr.read()
    assert of_block(what) == []


def test_a_sigterm_does_not_keep_the_pool_when_the_line_breaks_and_is_then_no_warning(tmp_path):
    told = []
    line = Line("127.0.0.1", warned=told.append)
    what = orders(line, SLEEP)
    process = start(tmp_path, what)
    come(line)
    wait_until(lambda: len(of_block(what)) == 1)
    process.send_signal(signal.SIGTERM)
    line.hang_up("0")
    assert process.wait(10) == 0
    assert of_block(what) == []
    wait_until(lambda: line.keepers() == [])
    assert told == []
    line.close()


def test_a_sigusr1_is_told_to_the_director_once_and_ends_nothing(tmp_path):
    told = []
    line = Line("127.0.0.1", warned=told.append)
    what = replace(orders(line, pool(MANY)), keep_s=0.5)
    process = start(tmp_path, what)
    assert process.stdout.readline() == "begun\n"
    come(line)
    guard = guard_of(process)
    for _ in range(2):
        signal_all(what, process, signal.SIGUSR1)
        wait_until(lambda: told == [signal.SIGUSR1], 20, "the warning")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    assert told == [signal.SIGUSR1]
    assert len(of_block(what)) == 2
    assert alive(guard)
    line.close()
    assert process.wait(10) == 0


def test_what_an_earlier_block_left_on_the_node_ends_before_the_next_one_begins(line, tmp_path):
    first = orders(line, SLEEP)
    left = {**os.environ, "DIRECTOR_BLOCK_MARK": f"{first.mark}.local-0.0"}
    other_node = {**os.environ, "DIRECTOR_BLOCK_MARK": f"{first.mark}.local-01.0"}
    orphan, neighbour = subprocess.Popen(SLEEP, env=left), subprocess.Popen(SLEEP, env=other_node)
    second = orders(line, SLEEP, block="1", mark=first.mark)
    process = start(tmp_path, second)
    assert orphan.wait(10) == -9
    come(line)
    assert neighbour.poll() is None
    neighbour.kill()
    neighbour.wait()
    line.hang_up("1")
    process.wait(10)


def test_a_pool_ends_with_its_own_exit_code(line, tmp_path):
    assert start(tmp_path, orders(line, pool("import sys; sys.exit(7)"))).wait(10) == 7
    assert start(tmp_path, orders(line, pool("import os; os.kill(os.getpid(), 9)"))).wait(10) == 137


def test_a_pool_that_does_not_collect_a_dead_child_is_ended_with_all_of_its_children(line, tmp_path):
    body = START_CHILD + "other = subprocess.Popen(['sleep', '600']); print(other.pid, flush=True); time.sleep(600)"
    process = start(tmp_path, orders(line, pool(body)))
    helper, worker = int(process.stdout.readline()), int(process.stdout.readline())
    subprocess.run(["kill", "-9", str(helper)], check=True)
    assert process.wait(20) == BROKEN
    assert f"process {helper} of the worker pool died" in process.stderr.read()
    assert not alive(worker)


def test_a_pool_that_collects_its_dead_children_goes_on(line, tmp_path):
    body = START_CHILD + "child.kill(); time.sleep(1); child.wait(); time.sleep(5); print('done', flush=True)"
    process = start(tmp_path, orders(line, pool(body)))
    assert process.wait(30) == 0
    assert "done" in process.stdout.read()


def test_the_pool_learns_what_its_workers_own_and_what_they_say_reaches_the_director(line, tmp_path):
    body = (
        "import json, os, socket, time; "
        "said = {'rank': 0, 'host': 'x', 'cores': [1], 'accelerator': None,"
        " 'owned': json.loads(os.environ['DIRECTOR_BINDINGS']), 'node': os.environ['DIRECTOR_HOST']}; "
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(json.dumps(said).encode(),"
        " os.environ['DIRECTOR_REPORTS']); time.sleep(600)"
    )
    process = start(tmp_path, orders(line, pool(body), accelerators=("0", "1")))
    come(line)
    wait_until(lambda: 0 in line.keepers()[0].workers)
    said = line.keepers()[0].workers[0]
    assert said["node"] == "local-0"
    assert [item["accelerator"] for item in said["owned"]] == ["0", "1"]
    line.hang_up("0")
    process.wait(10)


def test_on_a_wrong_host_nothing_starts_and_the_director_hears_of_it(line, tmp_path):
    what = orders(line, pool(f"open({str(tmp_path / 'ran')!r}, 'w')"), names=("node7", "node8"), logical=False)
    process = start(tmp_path, what)
    assert process.wait(10) == WRONG_HOST
    assert f"this is {socket.gethostname()}, but the block's nodes are node7, node8" in process.stderr.read()
    assert [stranger.host for stranger in line.strangers()] == [socket.gethostname()]
    assert not (tmp_path / "ran").exists()


def test_a_keeper_that_cannot_reach_its_director_says_so(line, tmp_path):
    what = orders(line, SLEEP)
    line.close()
    process = start(tmp_path, what)
    assert process.wait(20) == NO_DIRECTOR
    assert "cannot reach the Director at 127.0.0.1" in process.stderr.read()


MPS = """#!/bin/sh
echo "$@ $CUDA_MPS_PIPE_DIRECTORY ${CUDA_VISIBLE_DEVICES:-all}" >> "$0.log"
sleep 600 &
"""


@pytest.mark.parametrize(("workers", "mps", "daemon"), [(2, True, True), (1, True, False), (2, False, False)])
def test_mps_is_started_where_workers_share_a_gpu_and_ends_with_the_pool(line, tmp_path, workers, mps, daemon):
    program = tmp_path / "nvidia-cuda-mps-control"
    program.write_text(MPS)
    program.chmod(0o755)
    body = "import os, sys, time; print(os.environ.get('CUDA_MPS_PIPE_DIRECTORY', ''), flush=True); time.sleep(600)"
    what = orders(line, pool(body), accelerators=("0",), workers=workers, mps=mps)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "5"}
    process = start(tmp_path, what, env=environment)
    pipe = process.stdout.readline().strip()
    assert bool(pipe) is daemon
    log = tmp_path / "nvidia-cuda-mps-control.log"
    assert log.exists() is daemon
    if daemon:
        assert log.read_text().split() == ["-d", pipe, "all"]
    assert len(of_block(what)) == (2 if daemon else 1)
    signal_all(what, process, signal.SIGUSR1)
    wait_until(lambda: warned_of(line) == {signal.SIGUSR1})
    assert len(of_block(what)) == (2 if daemon else 1)
    line.hang_up("0")
    process.wait(10)
    assert of_block(what) == []


@pytest.mark.parametrize(
    ("hostname", "names", "found"),
    [
        ("node1", ["node1", "node2"], 0),
        ("NODE2", ["node1", "node2"], 1),
        ("x3001", ["x3001.hsn.example.org", "x3002.hsn.example.org"], 0),
        ("x3002.example.org", ["x3001", "x3002"], 1),
        ("node1", ["node10", "node11"], None),
        ("n1.a.org", ["n1.b.org"], None),
        ("n1", ["n1.a.org", "n1.b.org"], None),
        ("n1.b.org", ["n1.a.org", "n1.b.org"], 1),
    ],
)
def test_a_host_knows_its_post_by_any_of_its_names_but_never_takes_anothers(hostname, names, found):
    posts = [Post(Node(name, (0,)), ()) for name in names]
    assert post_of(hostname, posts) is (None if found is None else posts[found])


def test_orders_survive_the_way_through_the_file(line):
    what = orders(line, ["python", "a b"], accelerators=("0.0", "0.1"), names=("n1", "n2"))
    assert Orders.load(what.dump()) == what
    assert json.loads(what.dump())["posts"][1]["node"]["hostname"] == "n2"


WORKER = """
import json, os, socket, sys, time
def say(**said):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(
        json.dumps({"rank": 0, **said}).encode(), os.environ["DIRECTOR_REPORTS"])
child = os.fork()
if child == 0:
    say(host="x", cores=[1], accelerator=None, pid=os.getpid())
    say(began="a.1")
    time.sleep(600)
print(child, flush=True)
os.waitpid(child, 0)
print("collected", flush=True)
time.sleep(600)
"""


def test_a_worker_is_killed_when_the_director_asks_for_it_and_the_director_hears_of_its_end_at_once(tmp_path):
    killed = []
    line = Line("127.0.0.1", killed=killed.append)
    process = start(tmp_path, orders(line, pool(WORKER)))
    worker = int(process.stdout.readline())
    wait_until(lambda: bool(line.keepers() and line.keepers()[0].running))
    assert not line.signal("kill", "b.1")
    assert alive(worker)
    assert line.signal("kill", "a.1")
    wait_until(lambda: killed == ["a.1"], 2, "the news of the worker's end")
    assert process.stdout.readline() == "collected\n"
    assert process.poll() is None
    line.close()
    assert process.wait(10) == 0


@pytest.mark.parametrize("noise", [b"hello\n", b"{}\n", b'{"signal": "kill", "rank": 0}\n', b"x" * 200_000])
def test_a_director_that_is_none_is_taken_for_gone(tmp_path, noise):
    server = socket.create_server(("127.0.0.1", 0))
    line = Line("127.0.0.1")
    what = replace(orders(line, SLEEP), line=server.getsockname()[:2])
    line.close()
    process = start(tmp_path, what)
    connection, _ = server.accept()
    connection.sendall(b"n" * 32)
    wait_until(lambda: len(of_block(what)) == 1)
    connection.sendall(noise)
    assert process.wait(10) == 0
    assert "the line to the Director broke" in process.stderr.read()
    assert of_block(what) == []
    connection.close()
    server.close()
