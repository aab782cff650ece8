"""``director endpoint``, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

import endpoint_templates

ENVIRONMENT = "environment=/opt/md-director/venv"


@pytest.fixture
def home(tmp_path):
    """A home folder without endpoints."""
    return tmp_path


def endpoint(home, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "director", "endpoint", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else " ".join(done.stderr.split())


def document(home, *words):
    return json.loads(endpoint(home, *words, "--json"))


def test_list_names_every_template(home):
    shown = endpoint(home, "list")
    found = document(home, "list")
    assert [entry["name"] for entry in found] == list(endpoint_templates.names())
    for entry in found:
        assert entry["title"] in shown
        assert entry["scheduler"] in shown


def test_show_says_who_may_set_what_and_where_facts_come_from(home):
    shown = endpoint(home, "show", "aurora")
    assert "configure only" in shown
    assert "whoever submits" in shown
    assert "debug, debug-scaling, prod" in shown
    assert "https://docs.alcf.anl.gov/aurora/running-jobs-aurora/ (page of 2026-07-27)" in shown
    assert "2000 to 10624 nodes for up to 86400 s" in " ".join(shown.split())
    assert "5.0,5.1" in shown
    assert "page without a date" in endpoint(home, "show", "perlmutter")
    assert "Read on" not in endpoint(home, "show", "slurm")
    found = document(home, "show", "frontier")
    assert found["facility"]["read_on"] == "2026-11-21"
    assert found["schema"] == endpoint_templates.find("frontier").schema()
    by_name = {parameter["name"]: parameter for parameter in found["parameters"]}
    assert by_name["account"]["required"]
    assert by_name["environment"]["set_by"] == "installer"


def test_configure_writes_a_folder_and_prints_what_comes_next(home):
    shown = endpoint(home, "configure", "frontier", "--option", ENVIRONMENT, "--option", "modules=rocm,miniforge3")
    folder = home / ".globus_compute" / "frontier"
    assert folder.stat().st_mode & 0o777 == 0o700
    lines = [line.strip() for line in shown.splitlines()]
    assert "/opt/md-director/venv/bin/globus-compute-endpoint start frontier" in lines
    assert "director submit BATCH.yaml --endpoint UUID --set account=ACCOUNT" in lines
    assert endpoint_templates.read_folder(folder).given["modules"] == ["rocm", "miniforge3"]
    refused = endpoint(home, "configure", "frontier", "--option", ENVIRONMENT, code=2)
    assert "is already there" in refused
    assert "--force" in refused
    endpoint(home, "configure", "frontier", "--option", ENVIRONMENT, "--option", "account=abc123", "--force")
    assert endpoint_templates.read_folder(folder).given == {
        "environment": "/opt/md-director/venv",
        "account": "abc123",
    }


def test_configure_takes_a_folder_and_a_name(home):
    words = [
        "configure",
        "local",
        "--option",
        ENVIRONMENT,
        "--dir",
        "eps/mine",
        "--name",
        "My laptop",
        "--local-services",
    ]
    found = document(home, *words)
    assert found["endpoint"] == "mine"
    assert found["next"][0] == f"director endpoint check {home}/eps/mine"
    assert found["next"][1] == (f"/opt/md-director/venv/bin/globus-compute-endpoint --config-dir {home}/eps start mine")
    config = yaml.safe_load((home / "eps" / "mine" / "config.yaml").read_text())
    assert config == {"display_name": "My laptop", "local_compute_services": True}
    endpoint(home, "configure", "local", "--option", ENVIRONMENT, "--name", "second")
    assert (home / ".globus_compute" / "second" / "config.yaml").read_text() == "display_name: second\n"


@pytest.mark.parametrize("name", ["slurm", "eps/mine"])
def test_render_prints_the_configuration_of_a_template_or_of_a_folder(home, name):
    installed = ["--option", ENVIRONMENT, "--option", "address=10.0.0.1"]
    endpoint(home, "configure", "slurm", *installed, "--option", "account=p1", "--dir", "eps/mine")
    words = ["--set", "nodes=4", "--set", "directors=2", "--set", "queue=work"]
    if name == "slurm":
        words += ["--set", ENVIRONMENT, "--set", "address=10.0.0.1", "--set", "account=p1"]
    printed = endpoint(home, "render", name, *words)
    engine = yaml.safe_load(printed)["engine"]
    assert engine["max_workers_per_node"] == 2
    assert engine["address"] == "10.0.0.1"
    assert {key: engine["provider"][key] for key in ("account", "partition", "nodes_per_block")} == {
        "account": "p1",
        "partition": "work",
        "nodes_per_block": 4,
    }
    found = document(home, "render", name, *words)
    assert found["template"] == "slurm"
    assert found["options"]["nodes"] == 4
    assert found["configuration"] + "\n" == printed


def test_an_endpoint_is_found_by_its_name(home):
    endpoint(
        home,
        "configure",
        "polaris",
        "--option",
        ENVIRONMENT,
        "--option",
        "queue=prod",
        "--option",
        "nodes=10",
        "--name",
        "p",
    )
    assert "prod" in endpoint(home, "show", "p")
    by_name = {parameter["name"]: parameter for parameter in document(home, "show", "p")["parameters"]}
    assert by_name["nodes"]["default"] == 10
    assert 'queue: "prod"' in endpoint(home, "render", "p", "--set", "account=a")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show summit", "summit: is neither a template nor the folder of an endpoint"),
        ("configure summit", "summit: is not a template"),
        ("configure aurora", "environment: is required, and only who installs the endpoint can know it"),
        (f"configure slurm --option {ENVIRONMENT}", "interface: is required where no `address` is given"),
        (f"configure pbs --option {ENVIRONMENT} --option interface=ib0", "cpus_per_node: is required"),
        (f"configure aurora --option {ENVIRONMENT} --option nodes=4", "4 nodes do not fit into the queue debug"),
        (f"configure local --option {ENVIRONMENT} --option nodes", "is not of the form NAME=VALUE"),
        (f"configure local --option {ENVIRONMENT} --dir a;b", "cannot be an endpoint's name"),
        (f"render aurora --set {ENVIRONMENT}", "account: is required but was not given"),
        (f"render aurora --set {ENVIRONMENT} --set account=a --set nodes=3", "The queue debug takes 1 to 2 nodes"),
        (f"render slurm --set {ENVIRONMENT} --set interface=lo --set account=$(x)", "account: is no word"),
        ("render . --set nodes=1", "cannot be read"),
    ],
)
def test_what_is_refused_names_the_option_and_writes_nothing(home, words, message):
    assert message in endpoint(home, *words.split(), code=2)
    refused = json.loads(endpoint(home, *words.split(), "--json", code=2))["refused"]
    assert {"where", "message", "hint"} == set(refused[0])
    assert refused[0]["hint"]
    assert not list(home.iterdir())
