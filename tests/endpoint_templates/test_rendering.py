"""Every template, through the endpoint's own renderer, into its own engine. Golden files show what has changed.

``UPDATE_GOLDEN=1 python -m pytest tests/endpoint_templates`` writes them anew; look at the difference before you
commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from parsl.launchers import SimpleLauncher

import endpoint_templates
from endpoint_templates import TemplateError
from tests.endpoint_templates.cases import (
    ALL,
    BY_NAME,
    GOLDEN_INSTALLED,
    GOLDEN_SUBMITTED,
    every_submission,
    installed,
    submitted,
)

GOLDEN = Path(__file__).parent / "golden"


def rendered(template, options=None, given=None):
    given = installed(template) if given is None else given
    options = submitted(template) if options is None else options
    return endpoint_templates.render(template.text(given), template.schema(given), options)


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_what_the_endpoint_makes_of_a_submission_is_what_it_was(template):
    text = rendered(
        template,
        submitted(template, GOLDEN_SUBMITTED),
        installed(template, GOLDEN_INSTALLED, interface="ib0" if template.facility is None else None),
    )
    path = GOLDEN / f"{template.name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


def test_there_is_a_golden_file_for_each_template_and_no_other():
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(endpoint_templates.names())


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_every_value_of_every_option_loads_into_a_real_engine(template):
    text, schema = template.text(installed(template)), template.schema(installed(template))
    submissions = list(every_submission(template))
    assert len(submissions) > len(schema["properties"])
    for options in submissions:
        engine = endpoint_templates.load(endpoint_templates.render(text, schema, options)).engine
        taken = {name: described.get("default") for name, described in schema["properties"].items()} | options
        _is_a_pool_on_the_lead_node(engine, taken["directors"])
        provider = engine.executor.provider
        if template.scheduler == "local":
            assert provider.nodes_per_block == 1
            continue
        hours, rest = divmod(taken["walltime_s"], 3600)
        assert provider.walltime == f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
        assert provider.nodes_per_block == taken["nodes"]
        assert provider.account == taken.get("account")
        charged = provider.partition if template.scheduler == "slurm" else provider.queue
        asked = taken.get("queue")
        assert charged == (asked if template.scheduler == "slurm" else taken.get("reservation") or asked)


def _is_a_pool_on_the_lead_node(engine, directors):
    executor, provider = engine.executor, engine.executor.provider
    assert isinstance(provider.launcher, SimpleLauncher)
    assert executor.max_workers_per_node == directors
    assert executor.cores_per_worker * directors < 1, "a Director must fit on any node"
    assert executor.encrypted
    assert executor.prefetch_capacity == 0
    assert engine.max_retries_on_system_failure == 0
    assert (provider.init_blocks, provider.min_blocks, provider.max_blocks) == (1, 0, 1)
    assert engine._job_status_kwargs["strategy"] == "none", "one job, and never a second one by itself"


@pytest.mark.parametrize("template", [t for t in ALL if t.scheduler != "local"], **BY_NAME)
def test_the_address_is_that_of_the_interface_or_the_one_that_was_given(template):
    assert endpoint_templates.load(rendered(template)).engine.executor.address == "127.0.0.1"
    given = installed(template, interface=None) | {"address": "10.77.0.254"}
    assert endpoint_templates.load(rendered(template, given=given)).engine.executor.address == "10.77.0.254"


def test_an_interface_that_is_not_there_is_said_so():
    slurm = endpoint_templates.find("slurm")
    with pytest.raises(TemplateError, match="No such device") as error:
        endpoint_templates.load(rendered(slurm, given=installed(slurm, interface="nowhere0")))
    assert error.value.where == "configuration"


def test_a_user_endpoint_outlives_the_wait_for_a_director_but_not_for_long_without_one():
    for template in ALL:
        config = endpoint_templates.load(rendered(template))
        assert 60 <= config.idle_heartbeats_soft * config.heartbeat_period <= 120, "with it the job is given back"
        assert config.idle_heartbeats_hard * config.heartbeat_period >= 14 * 86_400, "as long as a task may last"


def test_names_that_look_like_numbers_stay_words():
    slurm = endpoint_templates.find("slurm")
    for word in ("1", "1e3", "0x10", "null", "true", "1.5", "2026-11-21"):
        document = yaml.safe_load(rendered(slurm, {"account": word, "queue": word, "run_id": word}))
        assert document["engine"]["provider"]["account"] == word
        assert document["engine"]["provider"]["partition"] == word
        assert document["engine"]["label"] == f"director-{word}"


def test_gpus_are_asked_for_as_the_kind_of_nodes_has_them():
    def gpus(name, **options):
        template = endpoint_templates.find(name)
        return endpoint_templates.load(rendered(template, submitted(template) | options)).engine.executor.provider

    assert gpus("frontier").gpus_per_node == 8
    assert gpus("perlmutter", constraint="gpu").gpus_per_node == 4
    assert gpus("perlmutter", constraint="cpu").gpus_per_node is None
    assert gpus("delta", queue="gpuA40x4").gpus_per_node == 4
    assert gpus("delta", queue="gpuA100x8").gpus_per_node == 8
    assert gpus("delta", queue="cpu").gpus_per_node is None
    assert gpus("anvil", gpus_per_node=4).gpus_per_node == 4
    assert gpus("polaris").select_options == "system=polaris:ngpus=4"
    assert gpus("pbs", gpus_per_node=2).select_options == "ngpus=2"
    assert gpus("pbs").select_options == ""


def test_a_whole_number_may_be_written_as_json_writes_it_elsewhere():
    slurm = endpoint_templates.find("slurm")
    config = endpoint_templates.load(rendered(slurm, {"nodes": 4.0, "directors": 2.0, "walltime_s": 3600.0}))
    assert config.engine.executor.provider.nodes_per_block == 4
    assert config.engine.executor.max_workers_per_node == 2


def test_yaml_that_is_no_user_endpoint_is_refused():
    for text, message in (
        ("display_name: x", "has no engine"),
        ("engine: {type: Nothing}", "not a valid engine"),
        ("a: [", "Invalid config syntax"),
    ):
        with pytest.raises(TemplateError, match=message):
            endpoint_templates.load(text)
