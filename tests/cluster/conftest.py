"""The cluster that tests run in. They run only if they are named: ``make test-cluster``, or pytest with their path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster

HERE = Path(__file__).resolve().parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves these tests out unless the command line names this folder or something in it."""
    start = config.invocation_params.dir
    named = [(start / argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of four nodes, with Slurm and PBS, for one module: Slurm does not end every process of a job."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "c")
    with cluster:
        yield cluster
    assert cluster.leftovers() == []
