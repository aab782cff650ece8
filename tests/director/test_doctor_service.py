"""The doctor's talk with servers that answer in all ways, and its probe in a real engine. All on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Result, Task
from globus_compute_endpoint.engines import GCFuture
from globus_sdk import AccessTokenAuthorizer

import endpoint_templates as templates
from director.doctor import clock, probe, service
from director.doctor.findings import Finding, State
from director.doctor.inside import look

ID = uuid.UUID("4b116d3c-1703-4f8f-9f6f-39921e5864df")
TOLD = {"api": "1.0.0", "min_sdk_version": "1.0.0", "min_ep_version": "1.0.0"}
Reply = tuple[int, dict[str, Any]]


@contextmanager
def serving(route: Callable[[str, str], Reply], delay_s: float = 0.0) -> Iterator[str]:
    """A web server on the loopback interface.

    Args:
        route: From a path and the header ``Authorization`` to a status and a document.
        delay_s: How long it takes to answer, in s.
    """
    leave = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            leave.wait(delay_s)
            status, document = route(self.path.partition("?")[0], self.headers.get("Authorization", ""))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # who asked may have given up
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        leave.set()
        server.shutdown()
        server.server_close()


def endpoints(status: str = "online", code: int = 200) -> Callable[[str, str], Reply]:
    """A service with one endpoint, which lets in whoever has the token."""

    def route(path: str, authorization: str) -> Reply:
        if path == "/v2/version":
            return 200, TOLD
        if authorization != "Bearer good":
            return 401, {"code": "UNAUTHORIZED", "reason": "bad token", "http_status_code": 401}
        if code != 200:
            return code, {"code": "NO", "reason": "no such endpoint", "http_status_code": code}
        if path == f"/v2/endpoints/{ID}/status":
            return 200, {"status": status, "details": {}}
        return 200, {"uuid": str(ID), "name": "aurora", "metadata": {"endpoint_version": "4.19.0"}}

    return route


def ask(route: Callable[[str, str], Reply], token: str) -> dict[str, Finding]:
    with serving(route) as url:
        facts = service.gather(url, ID, authorizer=AccessTokenAuthorizer(token))
    return {one.check: one for one in service.judge(facts)}


def test_an_endpoint_that_is_online_is_well():
    found = ask(endpoints(), "good")
    assert {one.state for one in found.values()} == {State.OK}
    assert found["endpoint"].found == "aurora, version 4.19.0"


@pytest.mark.parametrize(
    ("route", "token", "check"),
    [
        (endpoints("offline"), "good", "online"),
        (endpoints(), "stale", "login"),
        (endpoints(code=404), "good", "endpoint"),
        (endpoints(code=403), "good", "login"),
        (endpoints(code=500), "good", "endpoint"),
        (lambda *_: (503, {"reason": "maintenance"}), "good", "reachable"),
    ],
)
def test_what_is_in_the_way_at_the_service_is_told(route, token, check):
    found = ask(route, token)
    assert [name for name, one in found.items() if one.state is State.FAILED] == [check]


def test_a_service_that_does_not_listen_is_told_with_the_reason():
    (found,) = service.judge(service.gather("http://127.0.0.1:9", ID))
    assert (found.state, found.check) == (State.FAILED, "reachable")
    assert "Connection refused" in found.found


def test_a_service_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(service, "TIMEOUT_S", 0.5)
    with serving(endpoints(), delay_s=100) as url:
        facts = service.gather(url, ID, authorizer=AccessTokenAuthorizer("good"))
    assert facts.versions is None
    assert "timed out" in facts.error


def test_without_a_login_nobody_is_asked_for_one(tmp_path):
    """In a process of its own, with a new home: the SDK would otherwise use whatever login is stored here."""
    code = (
        "import sys, uuid; from director.doctor import service;"
        "facts = service.gather(sys.argv[1], uuid.UUID(sys.argv[2])); print(facts.logged_in, facts.error)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLOBUS")}
    with serving(endpoints()) as url:
        done = subprocess.run(
            [sys.executable, "-c", code, url, str(ID)],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env={**environment, "HOME": str(tmp_path)},
            check=False,
        )
    assert done.stdout.strip() == "False nobody is logged in here", done.stderr


def test_a_clock_is_read_from_a_server_that_lets_nobody_in():
    with serving(lambda *_: (401, {})) as url:
        reading = clock.read("it", url)
    assert reading.ahead_s is not None
    assert abs(reading.ahead_s) < 30
    assert clock.read("it", "http://127.0.0.1:9").ahead_s is None


def test_what_the_probe_sends_works_in_a_real_engine(tmp_path, monkeypatch):
    """As text and JSON, the function goes through the engine that the template makes, to a worker and back."""
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:{os.environ['PATH']}")
    template = templates.find("local")
    kind = "venv" if (Path(sys.prefix) / "bin" / "activate").exists() else "conda"
    given = {"environment": sys.prefix, "environment_kind": kind, "run_root": str(tmp_path)}
    engine = templates.load(templates.render(template.text(given), template.schema(given), {})).engine
    packed = probe.serializer()
    task = uuid.uuid4()
    buffer = packed.pack_buffers([packed.serialize(look), packed.serialize([]), packed.serialize({})])
    assert "\nst\ndef look" in buffer or "st\nlook:" in buffer, "the function should travel as its text"
    future: Any = GCFuture(task)
    began = time.time()
    engine.start(endpoint_id=uuid.uuid4(), run_dir=str(tmp_path / "engine"))
    try:
        engine.submit(
            task_f=future,
            resource_specification={},
            packed_task=messagepack.pack(Task(task_id=task, task_buffer=buffer)),
            result_serializers=["globus_compute_sdk.serialize.concretes.JSONData"],
        )
        result = messagepack.unpack(future.result(120))
    finally:
        engine.shutdown()
    assert isinstance(result, Result)
    assert not result.is_error, result.data
    seen = packed.deserialize(result.data)
    assert seen["prefix"] == sys.prefix
    assert seen["tools"]["md"] == ""
    assert seen["run_root"] == str(tmp_path)
    facts = probe.ProbeFacts(120, time.time() - began, seen, look()["versions"], began)
    assert {one.state for one in probe.judge(facts)} == {State.OK}
