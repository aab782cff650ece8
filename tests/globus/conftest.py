"""The stacks that tests run in. They run only if they are named: ``make test-globus``, or pytest with their path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.globus import endpoints
from tests.globus.stack import Stack

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives time to a machine that is busy: what these tests wait for takes seconds on one that is not."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="module")
def stack_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An endpoint whose Directors run beside it, for one module."""
    yield from _stack(Stack(tmp_path_factory.mktemp("local"), endpoints.local))


@pytest.fixture(scope="module")
def stack_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An endpoint whose Directors run on the first node of a Slurm job, and four nodes for it, for one module."""
    yield from _stack(Stack(tmp_path_factory.mktemp("slurm"), endpoints.slurm, nodes=4, slurm=True))


def _stack(stack: Stack) -> Iterator[Stack]:
    with stack:
        yield stack
    assert stack.leftovers() == []
