"""Facts about facilities agree with each other, and each says where it comes from."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date

import pytest

from endpoint_templates.facilities import AURORA, DELTA, FACILITIES, FRONTIER, POLARIS, READ_ON
from endpoint_templates.limits import describe


@pytest.mark.parametrize("facility", FACILITIES, ids=lambda facility: facility.name)
def test_every_fact_has_a_source_with_a_link_and_a_date_if_there_is_one(facility):
    assert facility.sources
    for source in facility.sources:
        assert re.fullmatch(r"https://[a-z0-9.-]+\.(gov|edu|io|net)/\S*", source.link)
        assert source.states
        assert source.as_of is None or date.fromisoformat(source.as_of) <= date.fromisoformat(READ_ON)


@pytest.mark.parametrize("facility", FACILITIES, ids=lambda facility: facility.name)
def test_queues_name_nodes_that_are_there_and_their_limits_are_in_order(facility):
    kinds = {node.name for node in facility.nodes}
    assert len({queue.name for queue in facility.queues}) == len(facility.queues)
    for queue in facility.queues:
        assert queue.node in kinds
        ends = [end for limit in queue.limits for end in (limit.min_nodes, limit.max_nodes or limit.min_nodes)]
        assert ends == sorted(ends)
        assert queue.min_nodes >= 1
    for node in facility.nodes:
        assert node.threads >= node.cores
        assert bool(node.accelerators) == bool(node.accelerator)
        assert len(set(node.accelerators)) == len(node.accelerators)


def test_tiles_and_dies_have_the_names_that_batch_files_take():
    assert AURORA.node("compute").accelerators[:3] == ("0.0", "0.1", "1.0")
    assert AURORA.node("compute").accelerators[-1] == "5.1"
    assert len(AURORA.node("compute").accelerators) == 12
    assert FRONTIER.node("compute").accelerators == tuple("01234567")
    assert POLARIS.node("compute").accelerators == tuple("0123")
    assert DELTA.node("octa-A100").accelerators == tuple("01234567")


def test_limits_are_said_in_words():
    assert describe(AURORA.queue("debug")) == "1 to 2 nodes for up to 3600 s"
    assert describe(FRONTIER.queue("batch")).startswith("1 to 91 nodes for up to 7200 s; 92 to 183 nodes")
    assert describe(DELTA.queue("cpu")) == "1 or more nodes for up to 172800 s"
    assert describe(DELTA.queue("gpuH200x8")) == "one node for up to 172800 s"


def test_the_package_can_be_looked_at_without_the_endpoint():
    """It stands on the lowest floor, and imports of the endpoint take seconds: only rendering needs them."""
    code = (
        "import sys, endpoint_templates as e\n"
        "t = e.find('aurora'); t.schema(); t.text({'environment': '/a'}); e.parameters_of(t)\n"
        "found = {m.split('.')[0] for m in sys.modules}\n"
        "print(sorted(found & {'globus_compute_endpoint', 'globus_compute_sdk', 'parsl', 'director', 'partitions',"
        " 'simulations'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
