"""Who listens on a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from partitions.listening import Listener, listener

LOOPBACK = "127.0.0.1"


@pytest.fixture
def other() -> Iterator[tuple[int, int]]:
    """A process that listens on loopback: its id and port."""
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.kill()


def test_ours_is_told_from_anothers(other):
    pid, port = other
    assert listener(LOOPBACK, port, [pid]) is Listener.OURS
    assert listener(LOOPBACK, port, [os.getpid()]) is Listener.OTHER
    assert listener(LOOPBACK, port, []) is Listener.OTHER


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_one_of_ours_on_all_addresses_is_told(family):
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(("", 0))
        server.listen()
        assert listener(LOOPBACK, server.getsockname()[1], [os.getpid()]) is Listener.EVERYWHERE


def test_nobody_listens_on_a_port_that_is_only_taken():
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        assert listener(LOOPBACK, server.getsockname()[1], [os.getpid()]) is Listener.NOBODY


def test_another_address_of_this_machine_is_not_meant():
    with socket.create_server((LOOPBACK, 0)) as server:
        assert listener("127.0.0.2", server.getsockname()[1], [os.getpid()]) is Listener.NOBODY
