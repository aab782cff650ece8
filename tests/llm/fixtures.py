"""The fixture ``llm``: loopback language models for a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.llm.server import LLMServer, Settings
from tests.llm.talk import Fault, Mind

Llm = Callable[..., LLMServer]
"""Starts a server: ``llm(mind, faults=[…], key=…, models=[…], delay_s=…)``."""


@pytest.fixture
def llm() -> Iterator[Llm]:
    """Starts servers, which end with the test. A mind that raised fails it."""
    with ExitStack() as stack:
        started: list[LLMServer] = []

        def start(
            mind: Mind,
            *,
            faults: Sequence[Fault] = (),
            key: str | None = None,
            models: Sequence[str] | None = None,
            delay_s: float = 0.0,
        ) -> LLMServer:
            server = stack.enter_context(LLMServer(Settings(mind, tuple(faults), key, models, delay_s)))
            started.append(server)
            return server

        yield start
        for server in started:
            assert not server.errors, server.errors
