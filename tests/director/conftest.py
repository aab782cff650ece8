"""What tests of several modules start: an exchange, and a client of it."""

import pytest

from director.exchange import LoopbackExchange, connect


@pytest.fixture(scope="module")
def exchange():
    made = LoopbackExchange().start()
    yield made.spec
    made.close()


@pytest.fixture
async def client(exchange):
    made = await connect(exchange)
    yield made
    await made.close()
