"""The stacks that tests run in. They run only if they are named: ``make test-globus``, or pytest with their path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.globus import endpoints
from tests.globus.stack import Stack


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
