"""The product's main path: a laptop, Globus Compute, a Slurm job of four nodes, two Directors on its lead node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import LOGIN_ADDRESS
from tests.globus.product import Product
from tests.globus.stack import Stack
from tests.helpers import wait_until


@pytest.fixture(scope="module")
def product(stack_slurm: Stack) -> Iterator[Product]:
    with Product(stack_slurm, LOGIN_ADDRESS) as made:
        yield made


def test_a_batch_goes_to_the_nodes_of_a_slurm_job_and_its_outcomes_come_back(product: Product) -> None:
    requests = [{"tool": "md", "inputs": {"structure": "alanine-dipeptide", "steps": 200}, "repeat": 16}]
    batch = product.batch("slurm", requests, nodes=4)
    run = product.submit(batch, "--set", "queue=work", "--set", "walltime_s=600")
    assert run["host"] == "node1"
    assert [item["partition"] for item in run["directors"]] == [["node1", "node2"], ["node3", "node4"]]
    found = product.outcomes(run["run_id"])
    assert [outcome["status"] for outcome in found] == ["ok"] * 16
    assert {outcome["host"] for outcome in found} == {"node1", "node2", "node3", "node4"}
    assert all(outcome["host"] in outcome["partition"] for outcome in found)
    product.director("close", run["run_id"])
    # The job is given back: the endpoint's process ends when it has had nothing to do for a minute.
    wait_until(lambda: not product.stack.cluster.run("login", ["squeue", "-h"]).stdout.strip(), 150, "the job's end")
