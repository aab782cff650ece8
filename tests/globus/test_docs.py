"""The way from a laptop to the nodes of a Slurm job, word for word as the documentation tells it.

Only what pages leave to their readers is put in: the words in capitals. ``git``, ``pip`` and ``python3 -m venv``, which
need a network, are not run: an environment that has everything stands where they would have made one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import LOGIN_ADDRESS
from tests.docs.pages import DOCS, FACILITY, LAPTOP, PAGES, ROOT, page_name, walked
from tests.globus.product import Product
from tests.globus.stack import Stack
from tests.globus.walk import Walk
from tests.helpers import wait_until

WALKS = [ROOT / "README.md", DOCS / "how-to" / "from-a-laptop.md"]
# One walk after the other, on the same nodes: the first batch holds six simulations of a peptide.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def product(stack_slurm: Stack) -> Iterator[Product]:
    with Product(stack_slurm, LOGIN_ADDRESS) as made:
        yield made


def test_only_these_pages_have_such_commands() -> None:
    assert [page for page in PAGES if walked(page)] == WALKS


@pytest.mark.parametrize("page", WALKS, ids=page_name)
def test_what_the_page_says_leads_from_the_laptop_to_the_nodes_and_back(
    page: Path, stack_slurm: Stack, product: Product
) -> None:
    steps = walked(page)
    assert {step.side for step in steps} == {FACILITY, LAPTOP}
    with Walk(stack_slurm, product, page.stem.lower()) as walk:
        walk.walk(steps)
        found = [json.loads(line) for line in (walk.clone / "outcomes.jsonl").read_text().splitlines()]
    assert [outcome["status"] for outcome in found] == ["ok"] * 6
    assert {outcome["host"] for outcome in found} <= {"node1", "node2", "node3", "node4"}
    assert {outcome["director"] for outcome in found} == {0, 1}
    wait_until(lambda: not stack_slurm.cluster.run("login", ["squeue", "-h"]).stdout.strip(), 60, "the job's end")
