"""Services that run: on logical nodes of this machine, with the stand-in of a language model, and broken servers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from director.plan import allocation_spec, plan, pool_spec
from director.service_partition.finding import Service, ServiceUnavailable, find_services
from director.service_partition.health import ask
from director.service_partition.owning import OwnServices, ServicesPlan
from director.service_partition.spec import read_services
from director.service_partition.state import ServicesFolder
from partitions.guard import BLOCK_MARK_VARIABLE, marked
from tests.director.service_partition.small import SMALL, small
from tests.helpers import alive, end_all, wait_until

ROOT = Path(__file__).parents[3]
UP_S = 90.0

Starter = Callable[..., OwnServices]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts services on logical nodes; they end with the test."""
    started: list[OwnServices] = []

    def starter(*given: dict[str, Any], environment: dict[str, str] | None = None) -> OwnServices:
        services = read_services(given, tmp_path)
        what = plan(directors=1, allocation=allocation_spec("local", None), pool=pool_spec({}), services=services)
        served = ServicesPlan.of(what, {**os.environ, **(environment or {})})
        assert served is not None
        started.append(OwnServices.start(tmp_path, served))
        return started[-1]

    yield starter
    for one in started:
        one.close()


def servers(tmp_path: Path) -> list[int]:
    """Processes of servers of this test, by what their keepers were told."""
    found = []
    for path in tmp_path.glob("services/*/orders-*.json"):
        found += marked(json.loads(path.read_text())["mark"] + ".*", BLOCK_MARK_VARIABLE)
    return found


def status(service: Service, key: str | None) -> int | None:
    host, _, rest = service.base_url.removeprefix("http://").partition(":")
    return ask(host, int(rest.split("/")[0]), "/v1/models", key=key, timeout_s=10).status


def test_a_service_is_up_agents_find_it_and_it_ends_with_its_client(start, tmp_path):
    arguments = ["-m", "tests.llm.server", "--host", "{host}", "--port", "{port}", "--key-file", "{api_key_file}"]
    real = small(
        arguments=[*arguments, "--model", "stand-in", "--mind", "echo"],
        environment={"PYTHONPATH": str(ROOT)},
        api_key_variable=None,
    )
    served = start(real)
    served.until_up()
    service = served.services["llm"]
    assert service.model == "stand-in"
    assert service.key is not None
    assert len(service.key) >= 40
    assert service.key_file is not None
    assert service.key_file.stat().st_mode & 0o777 == 0o600
    assert service.base_url.startswith("http://127.0.0.1:")
    assert status(service, service.key) == 200
    assert status(service, None) == status(service, "wrong") == 401
    assert find_services(tmp_path)["llm"].base_url == service.base_url
    variables = service.variables()
    assert variables == {
        "DIRECTOR_LLM_BASE_URL": service.base_url,
        "DIRECTOR_LLM_MODEL": "stand-in",
        "DIRECTOR_LLM_API_KEY_FILE": str(service.key_file),
    }
    processes, key = servers(tmp_path), service.key
    assert processes
    served.close()
    assert not any(alive(pid) for pid in processes)
    assert service.state.state == "stopped"
    with pytest.raises(ServiceUnavailable, match="is stopped"):
        service.until_up(1)
    with pytest.raises(ServiceUnavailable, match="its API key is gone"):
        _ = service.key
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_a_killed_server_and_a_killed_keeper_are_replaced_where_they_were(start, tmp_path):
    served = start(small(restarts=5))
    served.until_up()
    service = served.services["llm"]
    base_url = service.base_url
    for count in (2, 3):
        before = servers(tmp_path)
        if count == 2:
            end_all(before)
        else:  # its guard ends the server
            end_all(keepers(tmp_path))
        wait_until(lambda count=count: service.state.servers[0].starts == count, UP_S, "another start")
        wait_until(lambda: service.state.state == "up", UP_S, "the server")
        assert service.base_url == base_url
        assert not any(alive(pid) for pid in before)
        assert status(service, service.key) == 200
    assert served.lost() is None
    events = ServicesFolder(tmp_path).events()
    assert list(dict.fromkeys(event["starts"] for event in events if event.get("state") == "up")) == [1, 2, 3]


def keepers(tmp_path: Path) -> list[int]:
    """The keepers of this test."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"service_keeper.py" in command and str(tmp_path).encode() in command:
                found.append(int(entry.name))
    return found


def test_whoever_looks_after_services_is_launched_again_if_it_is_killed(start, tmp_path):
    served = start(small())
    served.until_up()
    base_url, before = served.services["llm"].base_url, servers(tmp_path)
    served._process.kill()
    wait_until(lambda: not any(alive(pid) for pid in before), UP_S, "the end of the old server")
    wait_until(lambda: bool(set(servers(tmp_path)) - set(before)), UP_S, "another server")
    wait_until(lambda: served.services["llm"].state.state == "up", UP_S, "the service")
    assert served.services["llm"].base_url == base_url
    assert status(served.services["llm"], served.services["llm"].key) == 200


def test_a_server_that_does_not_come_up_is_started_within_bounds_and_its_words_are_told(start):
    script = "import sys; print('no weights for', sys.argv[1]); raise SystemExit(5)"
    served = start(small(arguments=["-S", "-c", script, "{host}", "{port}"], restarts=2))
    with pytest.raises(ServiceUnavailable) as caught:
        served.until_up()
    said = str(caught.value)
    assert "service 'llm' is failed on local-1: it ended: exit code 5; it was started 3 times" in said
    assert said.count("no weights for 127.0.0.1") == 3
    assert served.lost() is not None


def test_a_server_that_is_not_required_is_not_waited_for_in_vain(start):
    served = start(small(name="a", program="nowhere-server", restarts=0, required=False), small(name="b"))
    served.until_up()
    assert served.services["a"].state.state == "failed"
    assert "nowhere-server cannot be started" in served.services["a"].trouble()
    assert served.services["b"].state.state == "up"
    assert served.lost() is None
    with pytest.raises(ServiceUnavailable, match="'a' is failed"):
        _ = served.services["a"].base_url


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"api_key_variable": "NOBODY_READS_IT"}, "it answers without the API key"),
        ({"arguments": ["-S", "-c", SMALL.replace("sys.argv[1]", "''"), "{host}", "{port}"]}, "on all addresses"),
        ({"model": "large"}, "it has no model 'large'; it has small"),
    ],
)
def test_a_server_that_is_not_what_was_described_is_not_used(start, change, said):
    served = start(small(**change))
    with pytest.raises(ServiceUnavailable) as caught:
        served.until_up()
    assert said in str(caught.value)
    assert served.services["llm"].state.servers[0].starts == 1


def test_an_open_server_is_taken_if_that_is_what_was_said(start):
    served = start(small(api_key_variable=None))
    served.until_up()
    service = served.services["llm"]
    assert service.key is None
    assert "DIRECTOR_LLM_API_KEY_FILE" not in service.variables()
    assert status(service, None) == 200


def test_several_servers_are_shared_out_among_agents_and_variables_are_handed_over(start, tmp_path):
    show = SMALL.replace('print("small server"', 'print(os.environ["TOKEN"], sys.argv[3]')
    served = start(
        small(nodes=2, forward=["TOKEN"], arguments=["-S", "-c", show, "{host}", "{port}", "{rank}/{nodes}"]),
        environment={"TOKEN": "abc"},
    )
    served.until_up()
    service = served.services["llm"]
    wait_until(lambda: len(service.base_urls) == 2, UP_S, "both servers")
    urls = [service.base_url_for(agent) for agent in range(4)]
    assert urls == [*service.base_urls, *service.base_urls]
    assert len(set(urls)) == 2
    logs = [(tmp_path / server.log).read_text().splitlines()[-1] for server in service.state.servers]
    assert logs == ["abc 0/2", "abc 1/2"]
    assert "abc" not in (tmp_path / "services" / "llm" / "state.json").read_text()
