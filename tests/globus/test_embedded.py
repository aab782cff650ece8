"""The embedded Site: a real engine from an endpoint's template, what it refuses, and that nothing outlives it."""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.door import Refused
from director.exchange import LoopbackExchange
from director.process_id import ProcessId
from director.runfolder import RunFolder
from director.sites.embedded import EmbeddedSite, engine_environment, this_environment
from director.sites.engine_inside import Look, Waiting, direct, pool_error, unruled
from director.sites.engine_process import TASK_VARIABLE
from director.spec import AllocationSpec, DirectorSpec, ExchangeSpec, PoolSpec, SharesSpec, agent_id_of
from partitions.guard import marked
from tests.helpers import processes_naming, wait_until

CREDENTIAL = "GLOBUS_COMPUTE_CLIENT_SECRET"
RUN_ID = "embedded0001"
OPTIONS = {"directors": 2, "nodes": 4}
NOWHERE = ExchangeSpec(url="http://127.0.0.1:9")

CLIENT = """
import sys, time
from pathlib import Path
from director.exchange import LoopbackExchange
from director.sites.embedded import EmbeddedSite
from tests.globus.test_embedded import OPTIONS, director_is_there, spec_of
from tests.helpers import wait_until

folder = Path(sys.argv[1])
exchange = LoopbackExchange().start()
site = EmbeddedSite("local", {}, OPTIONS)
for index in (0, 1):
    site.launch(spec_of(index, folder, exchange.spec))
wait_until(lambda: director_is_there(folder, 0) and director_is_there(folder, 1), 100, "both Directors")
print("up", flush=True)
time.sleep(1000)
"""


def spec_of(
    index: int, folder: Path, exchange: ExchangeSpec = NOWHERE, sizes: tuple[float, ...] = (2, 2)
) -> DirectorSpec:
    """A Director of two that share four logical nodes; it stays until it is ended."""
    return DirectorSpec(
        run_id=RUN_ID,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        index=index,
        agent_id=agent_id_of(RUN_ID, index),
        run_folder=str(folder),
        allocation=AllocationSpec(nodes=4),
        shares=SharesSpec(kind="size", values=sizes),
        exchange=exchange,
        pool=PoolSpec(workers_per_node=1),
        linger_s=100_000,
    )


def director_is_there(folder: Path, index: int) -> bool:
    """Whether a Director runs: its ledger is opened when its workers have been started."""
    return RunFolder(folder).ledger(index).exists()


def commands(pids: list[int]) -> dict[int, str]:
    """The command lines of processes, as far as they are still there."""
    found = {}
    for pid in pids:
        try:
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def one_running(trace: str, program: str) -> int:
    """The oldest process that carries a trace and whose command line names a program.

    Not the one with the lowest number: numbers are given out again.
    """
    running = commands(processes_naming(trace))
    found = [known for pid, command in running.items() if program in command and (known := ProcessId.of(pid))]
    return min(found, key=lambda process: process.started_ticks).pid


@pytest.fixture
def trace():
    """A word that a test puts into the environment of what it starts, and by which it finds all of that."""
    name = uuid.uuid4().hex
    yield name
    wait_until(lambda: not processes_naming(name), 15, f"the end of all processes ({commands(processes_naming(name))})")


@pytest.fixture
def environment(trace):
    """The environment of a client that is logged in as a client of Globus, with a secret."""
    return {**os.environ, "TEST_TRACE": trace, CREDENTIAL: f"secret-{trace}"}


@pytest.fixture
def exchange():
    """An exchange that Directors can answer on."""
    found = LoopbackExchange().start()
    yield found.spec
    found.close()


@pytest.fixture
def site(tmp_path, environment):
    """A Site for two Directors, whose engine is not started yet."""
    found = EmbeddedSite("local", {}, OPTIONS, run_dir=tmp_path / "run", environment=environment)
    yield found
    found.close()


@pytest.fixture
def pair(site, tmp_path, exchange):
    """Two Directors that run."""
    folder = tmp_path / "run"
    directors = [site.launch(spec_of(index, folder, exchange)) for index in (0, 1)]
    wait_until(
        lambda: all(director_is_there(folder, index) or directors[index].ended.done() for index in (0, 1)),
        100,
        "the start of both Directors",
    )
    assert [director.ended.result() for director in directors if director.ended.done()] == []
    return directors


# ---- what is refused before anything starts


@pytest.mark.parametrize(
    ("template", "installed", "options", "where", "said"),
    [
        ("locale", {}, {}, "locale", "is not a template"),
        ("local", {}, {"directors": 0}, "directors", "greater than or equal to 1"),
        ("local", {}, {"directors": "2"}, "directors", "got '2'"),
        ("local", {}, {"nodes": 100_000}, "nodes", "less than or equal to 1024"),
        ("local", {}, {"node": 4}, "'node'", "is not a parameter"),
        ("local", {}, {"run_root": "/tmp"}, "run_root", "is no option of a submission"),
        ("local", {"environment": "venv; rm -rf /"}, {}, "environment", "is no absolute path"),
        ("local", {"walltime": 5}, {}, "'walltime'", "is not a parameter"),
        ("local", {}, {"run_id": "a b"}, "run_id", "is no word"),
        ("perlmutter", {}, {"qos": "debug", "constraint": "gpu"}, "account", "is required but was not given"),
        ("slurm", {}, {"nodes": 4}, "interface", "is required where no `address` is given"),
        ("slurm", {"address": "127.0.0.1"}, {"nodes": 4}, "run-dir", "the job's nodes must see"),
    ],
)
def test_what_a_template_does_not_take_is_refused_at_once(template, installed, options, where, said):
    with pytest.raises(Refused) as caught:
        EmbeddedSite(template, installed, options)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert said in problem.message
    assert problem.hint


def test_an_option_that_is_none_is_left_to_its_default():
    EmbeddedSite("local", {}, {"directors": 1, "run_id": None}).close()


def test_a_site_that_has_launched_nothing_starts_nothing(trace):
    site = EmbeddedSite("local", {}, OPTIONS, environment={"TEST_TRACE": trace})
    assert not processes_naming(trace)
    site.close()
    site.close()


def test_the_client_loads_nothing_of_globus_compute():
    code = (
        "import sys; from director.sites.embedded import EmbeddedSite; EmbeddedSite('local', {}, {'nodes': 2});"
        "print([name for name in sys.modules if name.startswith(('globus', 'parsl'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_environment_of_this_python_has_the_endpoint():
    found = this_environment()
    assert os.access(Path(found["environment"], "bin", "globus-compute-endpoint"), os.X_OK)
    assert (found["environment_kind"] == "venv") == (sys.prefix != sys.base_prefix)


# ---- what is decided without an engine


NAMES = st.from_regex(r"[A-Z][A-Z_]{0,20}", fullmatch=True)


@given(st.dictionaries(NAMES, st.text(max_size=5)), NAMES, NAMES)
def test_an_engine_inherits_everything_but_secrets_of_globus(inherited, prefix, rest):
    secrets = {f"GLOBUS_{prefix}_TOKEN{rest}": "x", "FUNCX_SDK_CLIENT_SECRET": "x", CREDENTIAL: "x"}
    found = engine_environment({**inherited, **secrets, "PATH": "/bin"}, Path("/env"))
    assert found["PATH"] == "/env/bin:/bin"
    assert not set(found) & set(secrets)
    assert {name: value for name, value in inherited.items() if name not in ("PATH", *secrets)}.items() <= found.items()


def test_a_pool_may_wait_in_the_queue_but_not_on_a_node():
    waiting = Waiting(patience_s=60)
    queued = Look(open_tasks=1, pools=0, jobs_running=0)
    alone = Look(open_tasks=1, pools=0, jobs_running=1)
    there = Look(open_tasks=1, pools=1, jobs_running=1)
    idle = Look(open_tasks=0, pools=0, jobs_running=1)
    assert not any(waiting.too_long(queued, now_s) for now_s in (0, 100, 10_000))
    assert not waiting.too_long(alone, 10_001)
    assert not waiting.too_long(alone, 10_061)
    assert waiting.too_long(alone, 10_062)
    assert not waiting.too_long(there, 10_063)
    assert not waiting.too_long(alone, 10_100)
    assert not waiting.too_long(idle, 10_200)
    assert not waiting.too_long(alone, 10_300)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Error 1:\n\tEXIT CODE: 137\n\tSTDERR: line 9: 10411 Killed   python", "has ended (signal SIGKILL)"),
        (
            "Error 1:\n\tEXIT CODE: 1\n\tSTDERR: md-director: on n1, x is not there\n",
            "cannot run: on n1, x is not there",
        ),
        ("Error 1:\n\tEXIT CODE: 2\n\tSTDERR: python: no such option\n", "no such option"),
        ("Error 1:\n\tEXIT CODE: 255\n", "EXIT CODE: 255"),
        ("sbatch: error: invalid account", "sacctmgr"),
        ("No error messages received", "No error messages received"),
    ],
)
def test_the_end_of_a_worker_pool_is_said_in_words(text, said):
    assert said in pool_error(text)


@given(st.text())
def test_any_error_of_a_worker_pool_can_be_said(text):
    assert pool_error(text).startswith("the worker pool ")


def test_what_the_engine_draws_around_a_message_is_left_out():
    assert unruled("+++++\nTraceback\nValueError: no\n\n-----\n") == "Traceback\nValueError: no"


def test_a_worker_pool_is_started_by_the_python_beside_the_endpoint_s_command(tmp_path):
    command = "globus-compute-endpoint python-exec parsl.pool --port 1"
    program = tmp_path / "the bin" / "globus-compute-endpoint"
    assert direct(command, None) == command
    assert direct(command, str(program)) == command
    program.parent.mkdir()
    program.with_name("python").symlink_to(sys.executable)
    assert direct(command, str(program)) == f"'{program.with_name('python')}' -m parsl.pool --port 1"


# ---- a real engine


def test_a_spec_that_the_director_refuses_comes_back_with_its_reason(site, tmp_path):
    directors = [site.launch(spec_of(index, tmp_path / "run", sizes=(2, 3))) for index in (0, 1)]
    summaries = [director.ended.result(100) for director in directors]
    assert [(summary["director"], summary["ok"]) for summary in summaries] == [(0, False), (1, False)]
    assert all("sizes 2, 3 add up to 5, but the allocation has 4 nodes" in summary["error"] for summary in summaries)
    site.close()
    site.close()
    assert (tmp_path / "run" / "engine" / "1" / "engine.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "run" / "engine").stat().st_mode & 0o777 == 0o700


def test_an_environment_that_is_not_there_is_named(tmp_path, environment):
    site = EmbeddedSite("local", {"environment": "/no/such/environment"}, {}, environment=environment)
    try:
        summary = site.launch(spec_of(0, tmp_path / "run")).ended.result(100)
    finally:
        site.close()
    assert summary["ok"] is False
    assert "/no/such/environment/bin/globus-compute-endpoint is not there: correct environment" in summary["error"]


def test_an_engine_keeps_secrets_to_itself_and_each_director_ends_alone(pair, site, tmp_path, trace, exchange):
    first, second = pair
    everything = processes_naming(trace)
    # Engine, interchange, pool, 2 workers; 2 Directors, each with interchange, guard and 2 worker pools.
    assert len(everything) >= 15
    assert sum("process_worker_pool" in command for command in commands(everything).values()) == 1
    for pid in everything:
        assert f"secret-{trace}".encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    with pytest.raises(Refused, match="finds no place"):
        site.launch(spec_of(2, tmp_path / "run", exchange))
    first.kill()
    summary = first.ended.result(20)
    assert (summary["director"], summary["ok"]) == (0, False)
    assert "SIGKILL" in summary["error"]
    assert not marked(str(first.task_id), TASK_VARIABLE)
    assert not second.ended.done()
    assert len(marked(str(second.task_id), TASK_VARIABLE)) >= 5
    second.let_go()
    second.let_go()
    site.close()
    assert "closed by its client" in second.ended.result(0)["error"]
    assert not processes_naming(trace)


def test_when_nobody_holds_a_director_any_more_the_engine_ends(pair, trace):
    for director in pair:
        director.let_go()
    assert [director.ended.result(60)["ok"] for director in pair] == [False, False]
    wait_until(lambda: not processes_naming(trace), 15, "the end of all processes")


@pytest.mark.parametrize(
    ("program", "how", "said"),
    [
        ("director.sites.engine_host", signal.SIGKILL, "the process of the engine has ended (signal SIGKILL)"),
        ("director.sites.engine_host", signal.SIGTERM, "the engine was ended by signal SIGTERM"),
        ("process_worker_pool", signal.SIGKILL, "the worker pool has ended (signal SIGKILL)"),
        ("HTEX interchange", signal.SIGKILL, "the engine's interchange has ended"),
    ],
)
def test_whatever_of_an_engine_is_killed_all_ends_and_says_why(pair, site, tmp_path, trace, program, how, said):
    os.kill(one_running(trace, program), how)
    summaries = [director.ended.result(60) for director in pair]
    assert [summary["director"] for summary in summaries] == [0, 1]
    assert not any(summary["ok"] for summary in summaries)
    assert all(said in summary["error"] for summary in summaries)
    wait_until(lambda: not processes_naming(trace), 20, "the end of all processes")
    if how == signal.SIGTERM:  # and the Site can be used again
        again = site.launch(spec_of(0, tmp_path / "other", sizes=(1, 1))).ended.result(100)
        assert "add up to 2" in again["error"]


@pytest.fixture
def temporary():
    """A folder for temporary files with a short path: that of a socket in it may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="e") as folder:
        yield Path(folder)


@pytest.fixture
def client(tmp_path, temporary, environment):
    """A client in a process of its own, with two Directors; its engine's folder is in ``temporary``."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "TMPDIR": str(temporary)},
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_client_is_killed_nothing_remains(client, temporary, trace, how):
    assert len(processes_naming(trace)) >= 16
    assert list(temporary.glob("md-director-engine-*"))
    client.send_signal(how)
    client.wait()
    wait_until(lambda: not processes_naming(trace), 20, "the end of all processes")
    wait_until(lambda: not list(temporary.glob("md-director-engine-*")), 5, "the end of the engine's folder")


def test_when_client_and_engine_are_killed_together_nothing_remains(client, trace):
    os.kill(one_running(trace, "director.sites.engine_host"), signal.SIGKILL)
    client.kill()
    client.wait()
    wait_until(lambda: not processes_naming(trace), 20, "the end of all processes")
