"""What a scheduler refuses, and what only compute nodes find out, is said where the batch was submitted."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest

from tests.globus.product import Product
from tests.globus.stack import Stack
from tests.helpers import wait_until

SOON_S = 120.0


@pytest.fixture(scope="module")
def product(stack_slurm: Stack) -> Iterator[Product]:
    """An exchange that the laptop reaches, and the compute nodes do not: it listens on the loopback interface."""
    with Product(stack_slurm) as made:
        yield made


def failure(product: Product, *options: str) -> str:
    """Submits what cannot come to anything; returns what is said of it."""
    batch = product.batch("short", [{"tool": "mock_md", "inputs": {"duration_s": 0.1}, "repeat": 2}])
    begin = time.monotonic()
    words = ["submit", batch, "--endpoint", product.stack.endpoint_id, "--json", *options]
    done = product.director(*words, check=False, timeout_s=SOON_S)
    print(f"{time.monotonic() - begin:.1f} s: {done.stderr}")  # noqa: T201  (shown by pytest -s)
    assert done.returncode == 3, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr, done.stderr
    return str(json.loads(done.stderr.splitlines()[-1])["failed"]["message"])


@pytest.mark.parametrize(
    ("settings", "words", "remedy"),
    [
        (["queue=wrok"], "Invalid partition name specified", "Give a queue that exists: --set queue="),
        (["queue=closed"], "User's group not permitted to use this partition", "Give a queue that you may use"),
        (["queue=work", "walltime_s=-5"], "walltime_s: -5 is less than the minimum", "director endpoint show NAME"),
        (["queue=work", "account=a b"], "account: ", "director endpoint show NAME"),
    ],
)
def test_what_the_scheduler_or_the_template_does_not_take(
    product: Product, settings: list[str], words: str, remedy: str
) -> None:
    if "queue=closed" in settings:
        closed = ["PartitionName=closed", "Nodes=ALL", "AllowGroups=root"]
        product.stack.cluster.run("login", ["scontrol", "create", *closed])
    said = failure(product, *(word for setting in settings for word in ("--set", setting)))
    assert words in said
    assert remedy in said
    assert len(said) < 500, "more than the useful lines came along"
    assert not product.stack.cluster.run("login", ["squeue", "-h"]).stdout.strip()


def test_an_exchange_that_only_the_laptop_reaches(product: Product) -> None:
    said = failure(product, "--set", "queue=work")
    assert f"cannot reach the exchange at {product.url}" in said
    assert "Start the exchange with --host" in said
    nodes = [name for name in product.stack.cluster.nodes if name != "login"]
    wait_until(
        lambda: not any("director.process" in line for name in nodes for line in _lines(product, name)),
        30,
        "the end of the Directors",
    )


def test_an_environment_that_is_not_there_any_more(product: Product) -> None:
    """The engine looks at its job every 60 s; until then the client says what the service says."""
    stack = product.stack
    file = stack.endpoint_folder / "user_config_template.yaml.j2"
    kept = file.read_text()
    stack.stop_endpoint()
    file.write_text(kept.replace(sys.prefix, "/nowhere/environment"))
    stack.start_endpoint()
    try:
        said = failure(product, "--set", "queue=work")
    finally:
        file.write_text(kept)
    assert "the job ended before its Directors could begin" in said
    assert "/nowhere/environment/bin/globus-compute-endpoint is not there" in said
    assert "director endpoint configure NAME --force" in said


def _lines(product: Product, host: str) -> list[str]:
    return list(product.stack.facility_processes(host).values())
