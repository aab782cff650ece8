"""What the Compute service of this machine says and remembers, without a broker and without the network."""

import pytest

from tests.cluster.cluster import Cluster
from tests.globus import broker
from tests.globus.compute_service.records import Heartbeat, Records, TaskRecord
from tests.globus.compute_service.service import ComputeService, RefusedError, alive, state_of
from tests.globus.daemon import DaemonError

NOW = 1000.0
TASK = TaskRecord("task", "group", "endpoint")


def heartbeat(age_s=0.0, **state):
    return Heartbeat(NOW - age_s, {"heartbeat_period": 10, **state})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, False),
        (heartbeat(), True),
        (heartbeat(age_s=29), True),
        (heartbeat(age_s=30), False),
        (heartbeat(heartbeat_period=0), False),  # the last one of a core endpoint
        (heartbeat(active=False), False),  # the last one of a user endpoint
        (heartbeat(error="no such partition"), False),
    ],
)
def test_an_endpoint_is_online_until_it_says_that_it_ends_or_misses_two_heartbeats(said, expected):
    assert alive(said, NOW) is expected


@pytest.mark.parametrize(
    ("task", "said", "expected"),
    [
        (TASK, None, "waiting-for-ep"),
        (TASK, heartbeat(age_s=60, managers=1), "waiting-for-ep"),
        (TASK, heartbeat(managers=0), "waiting-for-nodes"),
        (TASK, heartbeat(managers=1), "waiting-for-launch"),
        (TaskRecord("task", "group", "endpoint", failed=False), None, "success"),
        (TaskRecord("task", "group", "endpoint", failed=True), heartbeat(), "failed"),
    ],
)
def test_a_task_is_as_far_as_its_user_endpoint_says(task, said, expected):
    assert state_of(task, said, NOW) == expected


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "service.sqlite")


def test_the_first_result_of_a_task_counts_and_outlives_the_process(records, tmp_path):
    records.add_tasks([TASK])
    assert records.finish("task", failed=False, data="first", details={"os": "Linux"}, at=NOW)
    assert not records.finish("task", failed=True, data="second", details=None, at=NOW + 1)
    again = Records(tmp_path / "service.sqlite").task("task")
    assert again == TaskRecord("task", "group", "endpoint", False, "first", {"os": "Linux"}, NOW)


def test_a_token_is_for_who_knows_the_secret(records):
    service = ComputeService({"client": "secret"}, records, None, lambda *_, **__: None)
    scopes = "openid https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
    with pytest.raises(RefusedError) as refused:
        service.log_in("client", "guessed", scopes)
    assert refused.value.status == 401
    given = service.log_in("client", "secret", scopes)
    assert given["resource_server"] == "auth.globus.org"
    assert [other["resource_server"] for other in given["other_tokens"]] == ["funcx_service"]
    assert service.identity(given["access_token"]) == "client"
    with pytest.raises(RefusedError):
        service.identity("guessed")


def test_a_machine_without_the_broker_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(broker, "PROGRAMS", str(tmp_path))
    with pytest.raises(DaemonError, match="apt-get install rabbitmq-server"):
        broker.Broker(Cluster(tmp_path / "c", nodes=1), tmp_path)


def test_an_endpoint_of_somebody_else_is_refused(records):
    service = ComputeService({}, records, None, lambda *_, **__: None)
    records.put_endpoint("endpoint", "owner", {"endpoint_name": "hpc"})
    assert service.endpoint("owner", "endpoint")["name"] == "hpc"
    for what in (service.endpoint, service.endpoint_status, service.remove_endpoint):
        with pytest.raises(RefusedError) as refused:
            what("stranger", "endpoint")
        assert (refused.value.status, refused.value.code) == (403, "ENDPOINT_ACCESS_FORBIDDEN")
