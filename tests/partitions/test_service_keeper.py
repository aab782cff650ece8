"""The keeper of a service's server, with a line of the test's own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from partitions.allocation import Node
from partitions.guard import BLOCK_MARK_VARIABLE, marked, new_mark
from partitions.line import Line
from partitions.service_keeper import (
    NOT_FOUND,
    PORT_TAKEN,
    PortTakenError,
    ServiceOrders,
    free_port,
    service_keeper_command,
)
from tests.helpers import alive, wait_until

LOOPBACK = "127.0.0.1"
SERVE = "import socket, sys, time; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVE


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(LOOPBACK)
    yield line
    line.close()


def orders(line: Line, *program: str, **more: Any) -> ServiceOrders:
    fields = {
        "line": line.address,
        "token": line.token,
        "block": "0",
        "mark": new_mark(),
        "node": Node("local-0", (0,)),
        "logical": True,
        "here": True,
        "port": None,
        "program": program or (sys.executable, "-S", "-c", SERVE, "{host}", "{port}"),
        "environment": {},
        "verbatim": {},
        "values": {},
        "stop_s": 5.0,
    }
    return ServiceOrders(**(fields | more))


def start(folder: Path, what: ServiceOrders) -> subprocess.Popen[str]:
    path = folder / "orders.json"
    path.write_text(what.dump())
    pipe = subprocess.PIPE
    return subprocess.Popen(service_keeper_command(path), stdout=pipe, stderr=pipe, text=True, process_group=0)


def said(line: Line) -> dict[str, Any]:
    return next((keeper.workers.get(0, {}) for keeper in line.keepers()), {})


def of(what: ServiceOrders) -> list[int]:
    return marked(f"{what.mark}.*", BLOCK_MARK_VARIABLE)


def test_orders_are_read_as_they_were_written(line):
    what = orders(line, environment={"A": "{host}"}, verbatim={"B": "{host}"}, port=1234)
    assert ServiceOrders.load(what.dump()) == what


def test_a_server_gets_its_address_and_a_free_port_and_ends_when_the_line_breaks(tmp_path, line):
    what = orders(line)
    with start(tmp_path, what) as keeper:
        wait_until(lambda: said(line).get("listening") == "ours", 30, "the server to listen")
        told = said(line)
        assert told["address"] == LOOPBACK
        with socket.create_connection((LOOPBACK, told["port"]), timeout=5):
            pass
        assert of(what)
        line.close()
        assert keeper.wait(20) == 0
    assert of(what) == []


def test_a_server_that_does_not_end_by_itself_is_killed(tmp_path, line):
    what = orders(line, sys.executable, "-S", "-c", STUBBORN, "{host}", "{port}", stop_s=0.2)
    with start(tmp_path, what) as keeper:
        wait_until(lambda: said(line).get("listening") == "ours", 30, "the server to listen")
        line.close()
        assert keeper.wait(20) == 0
    assert of(what) == []


def test_the_guard_ends_the_server_of_a_keeper_that_was_killed(tmp_path, line):
    what = orders(line)
    with start(tmp_path, what) as keeper:
        wait_until(lambda: said(line).get("listening") == "ours", 30, "the server to listen")
        keeper.kill()
    wait_until(lambda: of(what) == [], 20, "the end of the server")


def test_environment_is_filled_in_but_for_what_is_handed_over_as_it_is(tmp_path, line):
    show = "import os; print(os.environ['A'], os.environ['B'], flush=True)"
    what = orders(
        line, sys.executable, "-S", "-c", show, environment={"A": "{host}/{model}"}, verbatim={"B": "{host}"},
        values={"model": "m"},
    )  # fmt: skip
    with start(tmp_path, what) as keeper:
        out, _ = keeper.communicate(timeout=20)
    assert out == f"{LOOPBACK}/m {{host}}\n"


def test_a_server_sees_all_accelerators_of_its_node(tmp_path, line):
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['HIP_VISIBLE_DEVICES'], flush=True)"
    what = orders(line, sys.executable, "-S", "-c", show, node=Node("local-0", (0,), ("2", "3")))
    with start(tmp_path, what) as keeper:
        out, _ = keeper.communicate(timeout=20)
    assert out == "2,3 0,1\n"


def test_how_a_server_ended_is_told(tmp_path):
    ended: list[dict[str, Any]] = []
    line = Line(LOOPBACK, gone=lambda keeper: ended.append(keeper.workers[0]))
    try:
        with start(tmp_path, orders(line, sys.executable, "-S", "-c", "raise SystemExit(5)")) as keeper:
            assert keeper.wait(20) == 5
        wait_until(lambda: bool(ended), 10, "what the keeper said")
        assert ended[0]["ended"] == "exit code 5"
    finally:
        line.close()


@pytest.mark.parametrize("taken", [True, False])
def test_what_keeps_a_server_from_being_started_is_told(tmp_path, taken, monkeypatch):
    ended: list[dict[str, Any]] = []
    line = Line(LOOPBACK, gone=lambda keeper: ended.append(keeper.workers[0]))
    with socket.create_server((LOOPBACK, 0)) as held:
        port = held.getsockname()[1]
        try:
            what = orders(line, port=port, port_wait_s=0.2) if taken else orders(line, "/nowhere/server")
            with start(tmp_path, what) as keeper:
                assert keeper.wait(40) == (PORT_TAKEN if taken else NOT_FOUND)
            wait_until(lambda: bool(ended), 10, "what the keeper said")
            expected = f"port {port} of {LOOPBACK} is taken" if taken else "/nowhere/server cannot be started"
            assert expected in ended[0]["ended"]
        finally:
            line.close()


def test_nothing_is_started_on_a_host_that_is_not_the_services(tmp_path, line):
    what = orders(line, logical=False, node=Node("elsewhere", (0,)))
    with start(tmp_path, what) as keeper:
        assert keeper.wait(20) == 78
        assert "but the service's node is elsewhere" in keeper.stderr.read()
    assert of(what) == []


def test_the_early_signal_is_outlived_and_sigterm_ends_the_server(tmp_path, line):
    what = orders(line)
    with start(tmp_path, what) as keeper:
        wait_until(lambda: said(line).get("listening") == "ours", 30, "the server to listen")
        servers = of(what)
        for pid in [keeper.pid, *servers]:
            subprocess.run(["kill", "-USR1", str(pid)], check=True)
        wait_until(lambda: any(signal.SIGUSR1 in one.warned for one in line.keepers()), 10, "the warning")
        assert all(alive(pid) for pid in servers)
        keeper.terminate()
        assert keeper.wait(20) == 128 + signal.SIGTERM
    assert of(what) == []


def test_a_port_that_is_taken_is_waited_for_and_then_given_up():
    with socket.create_server((LOOPBACK, 0)) as held, pytest.raises(PortTakenError):
        free_port(LOOPBACK, held.getsockname()[1], 0.3)
    assert free_port(LOOPBACK, None) > 0
