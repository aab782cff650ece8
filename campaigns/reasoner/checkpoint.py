"""Where the steps of reasoners are kept, so that they go on after any interruption: SQLite, with plain JSON in it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from campaigns.reasoner.state import ReasonerState
from simulations.extras import need


class JsonSerializer:
    """Writes and reads what LangGraph keeps as JSON. Nothing is pickled, and nothing that is read can name code."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Writes a value.

        Raises:
            TypeError: If it is not made of JSON values, or an error, of which the text is kept.
        """
        return "json", json.dumps(obj, ensure_ascii=False, default=_plain).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Reads a value.

        Raises:
            ValueError: If it is something else than JSON.
        """
        kind, content = data
        if kind != "json":
            raise ValueError(f"a checkpoint holds {kind!r}; only JSON is read")
        return json.loads(content)


@asynccontextmanager
async def checkpoints(path: Path) -> AsyncIterator[Any]:
    """Opens the file; made if it is not there, readable for its owner only.

    Yields:
        LangGraph's ``AsyncSqliteSaver``.

    Raises:
        ToolError: ``MissingExtra``, if LangGraph is not installed.
    """
    saver = need("langgraph.checkpoint.sqlite.aio", "agents").AsyncSqliteSaver
    sqlite = need("aiosqlite", "agents")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    async with sqlite.connect(path) as connection:
        made = saver(connection, serde=JsonSerializer())
        await made.setup()
        yield made


async def kept(saver: Any, reasoner: str) -> ReasonerState | None:
    """The last step of a reasoner that was kept; None: it has not begun."""
    found = await saver.aget_tuple(config_of(reasoner))
    if found is None:
        return None
    values = found.checkpoint["channel_values"]
    if any(name not in values for name in ReasonerState.__annotations__):
        return None  # it was interrupted before its first step
    return cast(ReasonerState, {name: values[name] for name in ReasonerState.__annotations__})


def config_of(reasoner: str) -> dict[str, Any]:
    """Under which name LangGraph keeps a reasoner's steps."""
    return {"configurable": {"thread_id": reasoner, "checkpoint_ns": ""}}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return {"error": f"{type(value).__name__}: {value}"}
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")
