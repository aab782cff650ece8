"""The reader that types what the pages say."""

from __future__ import annotations

import pytest

from tests.docs.reader import Reader


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """One for all pages that a process tests, so that they share their runs."""
    return Reader(tmp_path_factory.mktemp("reader"))
