"""The cluster that tests run in. They run only if they are named: ``make test-cluster``, or pytest with their path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of four nodes, with Slurm and PBS, for one module: Slurm does not end every process of a job."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "c")
    with cluster:
        yield cluster
    assert cluster.leftovers() == []
