import pytest

from partitions.line import Line


@pytest.fixture
def line():
    """A Director's end of the line to its keepers."""
    made = Line("127.0.0.1")
    yield made
    made.close()
