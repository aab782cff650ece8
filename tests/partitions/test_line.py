import json
import signal
import socket
import threading

import pytest

from partitions.line import Line, LineError, dial
from tests.helpers import wait_until

HELLO = {"block": "3", "node": "node1", "host": "node1", "cores": 4}


def hosts(line):
    return [keeper.node for keeper in line.keepers()]


def test_a_keeper_is_there_from_its_call_until_it_hangs_up(line):
    connection = dial(line.address, line.token, HELLO)
    wait_until(lambda: hosts(line) == ["node1"])
    connection.sendall(json.dumps({"rank": 1, "host": "node1", "cores": [2], "accelerator": "0.1"}).encode() + b"\n")
    wait_until(lambda: 1 in line.keepers()[0].workers)
    assert line.keepers()[0].workers[1]["accelerator"] == "0.1"
    connection.close()
    wait_until(lambda: hosts(line) == [])


def test_a_keeper_hears_when_the_director_hangs_up_and_only_that_block(line):
    first = dial(line.address, line.token, HELLO)
    second = dial(line.address, line.token, HELLO | {"block": "4", "node": "node2"})
    wait_until(lambda: len(line.keepers()) == 2)
    line.hang_up("3")
    assert first.recv(1) == b""
    wait_until(lambda: hosts(line) == ["node2"])
    second.setblocking(False)
    with pytest.raises(BlockingIOError):
        second.recv(1)
    second.setblocking(True)
    line.close()
    assert second.recv(1) == b""
    first.close()
    second.close()


def test_who_does_not_know_the_token_is_no_keeper_and_the_token_does_not_travel(line):
    connection = dial(line.address, "guess", HELLO)
    assert connection.recv(1) == b""
    assert line.keepers() == []
    connection.close()
    server = socket.create_server(("127.0.0.1", 0))
    heard = []

    def listen():
        caller, _ = server.accept()
        caller.sendall(b"n" * 32)
        heard.append(caller.recv(65536))
        caller.close()

    thread = threading.Thread(target=listen)
    thread.start()
    dial(server.getsockname()[:2], line.token, HELLO).close()
    thread.join()
    server.close()
    assert b'"proof"' in heard[0]
    assert line.token.encode() not in heard[0]


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", b"\xff\xfe\n", b'{"proof": 1}\n', b"[]\n", b"x" * 200_000]
)
def test_noise_is_dropped_and_the_line_goes_on(line, noise):
    with socket.create_connection(line.address) as connection:
        connection.recv(32)
        try:
            connection.sendall(noise)
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
    with dial(line.address, line.token, HELLO):
        wait_until(lambda: hosts(line) == ["node1"])


def test_a_keeper_on_a_wrong_host_is_a_stranger(line):
    dial(line.address, line.token, HELLO | {"node": None, "host": "node9"})
    wait_until(lambda: [stranger.host for stranger in line.strangers()] == ["node9"])
    assert line.keepers() == []


def test_what_is_no_director_is_said_to_be_none():
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: server.accept()[0].close()).start()
    with pytest.raises((LineError, ConnectionError)):
        dial(server.getsockname()[:2], "token", HELLO)
    server.close()


BEGAN = {"rank": 1, "began": "a.1"}


def say(connection, said):
    connection.sendall(json.dumps(said).encode() + b"\n")


def heard(connection):
    return json.loads(connection.makefile("rb").readline())


def test_only_the_keeper_whose_worker_has_begun_something_last_is_told_to_signal_it(line):
    first, second = dial(line.address, line.token, HELLO), dial(line.address, line.token, HELLO | {"node": "node2"})
    wait_until(lambda: len(line.keepers()) == 2)
    assert not line.signal("kill", "a.1"), "nobody has begun it"
    say(second, BEGAN)
    wait_until(lambda: any(keeper.running for keeper in line.keepers()))
    assert line.signal("interrupt", "a.1")
    assert heard(second) == {"signal": "interrupt", "rank": 1, "began": "a.1"}
    say(second, BEGAN | {"began": "b.1"})
    wait_until(lambda: any(keeper.running.get(1) == "b.1" for keeper in line.keepers()))
    assert not line.signal("kill", "a.1"), "that worker is past it"
    first.setblocking(False)
    with pytest.raises(BlockingIOError):
        first.recv(1)
    second.close()
    wait_until(lambda: hosts(line) == ["node1"])
    assert not line.signal("kill", "b.1"), "its keeper is gone"
    first.close()


def test_what_a_keeper_has_killed_is_heard_of():
    killed = []
    line = Line("127.0.0.1", killed=killed.append)
    with dial(line.address, line.token, HELLO) as connection:
        say(connection, {"killed": "a.1"})
        wait_until(lambda: killed == ["a.1"])
    line.close()


def test_a_schedulers_warning_is_heard_of_and_kept_with_its_keeper():
    heard = []
    line = Line("127.0.0.1", warned=heard.append)
    with dial(line.address, line.token, HELLO) as connection:
        say(connection, {"warned": "SIGUSR1"})
        wait_until(lambda: heard == [signal.SIGUSR1])
        assert line.keepers()[0].warned == {signal.SIGUSR1}
        say(connection, {"warned": "SIGNONE"})
        wait_until(lambda: line.keepers() == [], what="the end of who says what no keeper says")
    line.close()


def test_a_keeper_that_does_not_listen_does_not_hold_the_director_up(line):
    with dial(line.address, line.token, HELLO) as connection:
        say(connection, BEGAN | {"began": "a" * 4000 + ".1"})
        wait_until(lambda: bool(line.keepers() and line.keepers()[0].running))
        for _ in range(5000):
            if not line.signal("kill", "a" * 4000 + ".1"):
                break
        else:
            pytest.fail("the line took more than any buffer holds")


def test_who_has_not_proved_that_it_knows_the_token_reports_nothing(line):
    with socket.create_connection(line.address) as connection:
        connection.recv(32)
        say(connection, BEGAN)
        assert connection.recv(1) == b""
    assert not line.signal("kill", "a.1")
