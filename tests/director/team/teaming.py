"""Teams at work for tests: the real client, Parsl's threads, and a loopback language model."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from campaigns.language import ToolFace
from director.team.app import ThreadsDesk
from director.team.history import History
from director.team.session import Team
from director.team.settings import TeamFile
from director.team.turn import Tools
from director.team.voices import voices_of
from tests.llm.server import LLMServer

NAMES = ("ada", "bob", "cy")


def team_file(names: Sequence[str] = NAMES, *, of: Mapping[str, Any] | None = None, **fields: Any) -> TeamFile:
    """A team whose agents' prompts begin with their names.

    Args:
        names: The agents' names.
        of: Further fields of each agent.
        fields: Further fields of the team.
    """
    common = {"temperature": 0.5, "max_retries": 0, "timeout_s": 30.0, **(of or {})}
    whole = {
        "name": "testers",
        "mode": "parallel",
        "agents": [{"name": name, "prompt": f"{name} speaks.", **common} for name in names],
        **({} if "supervisor" in fields else {"aggregator": {"by": "merge"}}),
        **fields,
    }
    return TeamFile.model_validate(whole)


def environment_of(server: LLMServer, **more: str) -> dict[str, str]:
    """Where the loopback model is."""
    return {"DIRECTOR_LLM_BASE_URL": server.base_url, "DIRECTOR_LLM_MODEL": "stand-in", **more}


@contextlib.asynccontextmanager
async def at_work(
    file: TeamFile,
    server: LLMServer,
    folder: Path,
    *,
    tools: Mapping[str, Tools] | None = None,
    faces: Mapping[str, Sequence[ToolFace]] | None = None,
    reuse: bool = True,
    **environment: str,
) -> AsyncIterator[Team]:
    """A team at work, with its history in a folder."""
    voices = voices_of(file, environment_of(server, **environment))
    languages = {name: voice.settings for name, voice in voices.items()}
    desk = ThreadsDesk(voices, file.slots)
    try:
        with History(folder / "history.sqlite") as history:
            yield Team(file, languages, desk, history, tools=tools, faces=faces, reuse=reuse)
    finally:
        desk.close()
