"""The team that answers when no team file is named."""

from __future__ import annotations

from pathlib import Path

from director.team.settings import TeamFile, read_team


def shipped_team() -> TeamFile:
    """A creative, an analytical and a balanced agent; the same as ``examples/team/trio.yaml``."""
    return read_team(Path(__file__).with_name("trio.yaml"))
