"""How a run is, when whatever could tell hangs, is gone, or answers."""

import asyncio
import io
import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from director.call import DirectorLost
from director.exchange import ExchangeError
from director.runs import Task
from director.situation import bounded, service_of, situation_of
from tests.director.test_runs import launching, submitted


async def test_what_work_returns_or_raises_comes_through():
    assert await bounded(lambda: 42, 20) == 42
    with pytest.raises(KeyError, match="lost"):
        await bounded(lambda: {}["lost"], 20)
    assert await asyncio.gather(*(bounded(lambda n=n: n, 20) for n in range(5))) == list(range(5))


async def test_the_loop_goes_on_meanwhile():
    began, end = threading.Event(), threading.Event()

    def work():
        began.set()
        return end.wait(20)

    waiting = asyncio.create_task(bounded(work, 20))
    while not began.is_set():
        await asyncio.sleep(0)
    assert not waiting.done()
    end.set()
    assert await waiting


async def test_work_that_takes_too_long_is_left_to_itself():
    end = threading.Event()
    with pytest.raises(TimeoutError):
        await bounded(lambda: end.wait(60), 0.05)
    end.set()


def test_work_that_ends_after_its_loop_does_no_harm(monkeypatch):
    errors = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: errors.append(arguments))
    end, threads = threading.Event(), []

    def work():
        threads.append(threading.current_thread())
        end.wait(20)

    with pytest.raises(TimeoutError):
        asyncio.run(bounded(work, 0.05))
    end.set()
    threads[0].join(20)
    assert errors == []


PROGRAM = """
import asyncio, json, socket, sys, time
import director.situation
from director.runs import SubmittedRun
director.situation.SERVICE_S = 1.0
run = SubmittedRun.model_validate_json(sys.argv[1])
begin = time.monotonic()
async def nobody():
    from director.call import DirectorLost
    raise DirectorLost("nobody answers")
found = asyncio.run(director.situation.situation_of(run, nobody))
print(json.dumps({"seconds": time.monotonic() - begin, **found}), flush=True)
"""


def test_a_service_that_takes_connections_and_never_answers_is_given_up_and_the_process_can_exit(tmp_path):
    import socket

    run = submitted().model_copy(update={"launchings": [launching(Task(director=0, launch=1, task_id="t0"))]})
    with socket.create_server(("127.0.0.1", 0), backlog=10) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GLOBUS", "ACADEMY"))}
        # Else the SDK would go on asking for minutes, and the interpreter wait for it at its end.
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), run.model_dump_json()],
            capture_output=True,
            text=True,
            timeout=50,
            stdin=subprocess.DEVNULL,
            env={
                **kept,
                "HOME": str(tmp_path),
                "GLOBUS_COMPUTE_CLIENT_ID": "11111111-1111-4111-8111-111111111111",
                "GLOBUS_COMPUTE_CLIENT_SECRET": "s",
                "GLOBUS_SDK_SERVICE_URL_AUTH": url,
                "GLOBUS_SDK_SERVICE_URL_COMPUTE": url,
            },
        )
        silent.settimeout(1)
        silent.accept()[0].close()  # it was asked
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["seconds"] < 15
    assert document["service"]["endpoint"] == "unknown"
    assert "Globus Compute does not answer" in document["service"]["summary"]
    assert document["failure"] == "nobody answers"
    assert (document["run_id"], document["open"], document["directors"]) == ("abcd12345678", False, [])


async def test_without_a_login_the_service_says_why_it_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal
    found = await service_of(submitted())
    assert (found["endpoint"], found["tasks"]) == ("unknown", {})
    assert found["summary"].startswith("Globus Compute does not answer (")


@pytest.mark.parametrize("error", [DirectorLost("Director 0 has ended"), ExchangeError("nobody listens", "Start it")])
async def test_a_run_that_nobody_remembers_here_and_that_does_not_answer_still_has_a_document(error):
    async def reach():
        raise error

    found = await situation_of(None, reach)
    assert found["failure"] == str(error)
    assert (found["run_id"], found["open"], found["service"]) == (None, False, None)
