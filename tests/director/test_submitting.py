"""Submitting a batch: what is refused before anything is sent, what is remembered, and what travels."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulations
from director.batch import Batch, read_batch
from director.door import Refused
from director.exchange import ExchangeChoice, ExchangeError
from director.exchange.tokens import RunTokens, new_secret
from director.launching import LaunchError
from director.runs import KnownExchange, RunStore
from director.submitting import options_of, submit_batch
from simulations.tool import find_tools
from tests.director.exchanging import HttpServer, free_port

ENDPOINT = "11111111-1111-4111-8111-111111111111"
SECRET = new_secret()


# ---- options of the endpoint's template


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("queue=debug", {"queue": "debug"}),
        ("walltime_s=3600", {"walltime_s": 3600}),
        ("exclusive=true", {"exclusive": True}),
        ('account="123"', {"account": "123"}),
        ("account=0123", {"account": "0123"}),
        ("modules=[1, 2]", {"modules": [1, 2]}),
        ("constraint=a=b", {"constraint": "a=b"}),
        ("empty=", {"empty": ""}),
        ("text=two words", {"text": "two words"}),
    ],
)
def test_an_options_value_is_json_or_else_text(word, options):
    assert options_of([word]) == options


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.from_regex(r"[a-z_]{1,10}", fullmatch=True).filter(lambda name: name not in ("nodes", "directors", "run_id"))


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_any_json_value_gets_through_as_it_is(options):
    assert options_of([f"{name}={json.dumps(value)}" for name, value in options.items()]) == options


@given(NAMES, st.text() | st.sampled_from(["1e999", "[NaN]", '{"a": -Infinity}']))
def test_whatever_is_given_can_be_sent_as_json(name, value):
    options = options_of([f"{name}={value}"])
    assert json.loads(json.dumps(options, allow_nan=False)) == options


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_word_that_only_python_takes_for_json_is_text(value):
    assert options_of([f"name={value}"]) == {"name": value}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["queue"], "'queue' is not NAME=VALUE"),
        (["=debug"], "'=debug' is not NAME=VALUE"),
        ([""], "'' is not NAME=VALUE"),
        (["queue=a", "queue=b"], "'queue=b' is given twice"),
        (["nodes=4"], "nodes has an option of its own. Write --nodes 4"),
        (["directors=4"], "Write --directors 4"),
        (["run_id=x"], "run_id is given by"),
    ],
)
def test_what_is_no_option_is_refused_with_what_to_write(words, message):
    with pytest.raises(Refused) as refusal:
        options_of(words)
    assert message in str(refusal.value)


# ---- before anything is sent


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "kept")


def batch(tmp_path: Path, text: str = "nodes: 2\ndirectors: 2\n") -> Batch:
    (tmp_path / "mine.pdb").write_bytes(
        (Path(simulations.__file__).parent / "structures" / "alanine-dipeptide.pdb").read_bytes()
    )
    file = tmp_path / "batch.yaml"
    file.write_text(
        text + "requests:\n"
        "  - {tool: md, inputs: {structure: mine.pdb, steps: 10}, repeat: 3}\n"
        "  - {tool: mock_md, inputs: {duration_s: 0}}\n"
    )
    return read_batch(file, find_tools())


async def submitted(what: Batch, url: str, store: RunStore, said: list[str] | None = None, **more):
    return await submit_batch(
        what,
        **{
            "name": "batch.yaml",
            "endpoint_id": ENDPOINT,
            "settings": ["queue=debug"],
            "choice": ExchangeChoice("http", url, SECRET),
            "known": KnownExchange(kind="http", url=url, secret_file="/home/me/secret"),  # noqa: S106
            "store": store,
            "run_folder": None,
            "linger_s": 60.0,
            "wait_s": 1.0,
            "local_services": False,
            "say": (said if said is not None else []).append,
            **more,
        },
    )


async def test_a_batch_that_does_not_say_how_many_nodes_is_refused(tmp_path, store):
    with pytest.raises(Refused, match="nodes: is not given"):
        await submitted(batch(tmp_path, "directors: 2\n"), "http://127.0.0.1:9", store)
    assert not store.path.exists()


async def test_nodes_that_cannot_be_shared_are_refused(tmp_path, store):
    with pytest.raises(Refused):
        await submitted(batch(tmp_path, "nodes: 2\ndirectors: 3\n"), "http://127.0.0.1:9", store)
    assert not store.path.exists()


class Service:
    """Answers as Globus Compute's client does before anything is submitted."""

    def __init__(self, status: str) -> None:
        self.status = status

    def get_endpoint_status(self, endpoint_id: str) -> dict[str, str]:
        assert endpoint_id == ENDPOINT
        return {"status": self.status}


async def test_with_an_exchange_that_cannot_be_reached_nothing_is_submitted_or_remembered(tmp_path, store, monkeypatch):
    monkeypatch.setattr("director.submitting.open_client", lambda **_: Service("online"))
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ExchangeError, match=url):
        await submitted(batch(tmp_path), url, store)
    assert [path for path in store.path.rglob("*") if path.is_file()] == []
    assert list(store) == []


async def test_a_users_file_that_goes_away_is_refused_and_nothing_is_remembered(tmp_path, store, monkeypatch):
    monkeypatch.setattr("director.submitting.open_client", lambda **_: Service("online"))
    what = batch(tmp_path)
    (tmp_path / "mine.pdb").unlink()
    with pytest.raises(Refused, match=r"mine\.pdb"):
        await submitted(what, "http://127.0.0.1:9", store)
    assert list(store) == []


async def test_an_endpoint_that_is_offline_gets_nothing(tmp_path, store, monkeypatch):
    monkeypatch.setattr("director.submitting.open_client", lambda **_: Service("offline"))
    with pytest.raises(LaunchError, match="nothing was submitted: the endpoint is offline"):
        await submitted(batch(tmp_path), "http://127.0.0.1:9", store)
    assert not store.path.exists()


# ---- without Globus Compute


@pytest.fixture(scope="module")
def exchange():
    made = HttpServer(RunTokens(SECRET))
    yield made
    made.close()


def director(*words, cwd: Path, program=("-m", "director"), **environment):
    """The command, without any login."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GLOBUS", "ACADEMY", "DIRECTOR"))}
    return subprocess.run(
        [sys.executable, *program, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={**kept, "HOME": str(cwd), **environment},
    )


def submit(tmp_path, exchange, *more, program=("-m", "director"), **environment):
    batch(tmp_path)
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET.get_secret_value())
    words = ("submit", "batch.yaml", "--endpoint", ENDPOINT, "--exchange", exchange.url, "--exchange-secret", secret)
    return director(*words, *more, cwd=tmp_path, program=program, **environment)


def test_without_a_login_it_says_how_to_log_in_and_nothing_is_submitted_or_remembered(tmp_path, exchange):
    done = submit(tmp_path, exchange)
    assert done.returncode == 3, done.stderr
    assert "nobody is logged in to Globus Compute here. Log in first: `globus-compute-endpoint login`" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / ".md-director").exists()


def test_half_a_login_is_told_from_none(tmp_path, exchange):
    done = submit(tmp_path, exchange, GLOBUS_COMPUTE_CLIENT_SECRET="s")  # noqa: S106
    assert done.returncode == 3, done.stderr
    assert "is not complete" in done.stderr
    assert "Traceback" not in done.stderr


IMPATIENT = """
import director.submitting
director.submitting.SERVICE_S = 1.0
from director.cli.app import main
main()
"""


def test_a_service_that_never_answers_does_not_keep_the_user_for_ever(tmp_path, exchange):
    # The SDK asks a service that takes connections and says nothing six times, for a minute each.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        login = {"GLOBUS_COMPUTE_CLIENT_ID": ENDPOINT, "GLOBUS_COMPUTE_CLIENT_SECRET": "s"}
        done = submit(tmp_path, exchange, program=["-c", IMPATIENT], GLOBUS_SDK_SERVICE_URL_AUTH=url, **login)
        silent.settimeout(1)
        silent.accept()[0].close()  # it was asked
    assert done.returncode == 3
    assert "Globus Compute does not answer within 1 s" in done.stderr
    assert not (tmp_path / ".md-director").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--endpoint", "my-endpoint"), "'my-endpoint' is not the id of an endpoint"),
        (("--set", "queue"), "'queue' is not NAME=VALUE"),
        (("--nodes", "1"), "shares"),
        (("--exchange", "127.0.0.1:8700"), "names no exchange"),
    ],
)
def test_what_the_command_line_has_wrong_is_refused_before_anything_is_sent(tmp_path, exchange, words, said):
    done = submit(tmp_path, exchange, *words)
    assert done.returncode == 2, done.stderr
    assert "refused; nothing was submitted" in done.stderr
    assert said in done.stderr
    assert not (tmp_path / ".md-director").exists()


def test_a_run_that_was_not_submitted_from_here_cannot_be_resumed_from_here(tmp_path, exchange):
    done = director("resume", "abcd12345678", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "no run of this name is known here" in json.loads(done.stderr)["refused"][0]["message"]
