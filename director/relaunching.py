"""Whether a Director that has ended is launched again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_RELAUNCHES = 3


def crashed(summary: Mapping[str, Any]) -> bool:
    """Whether a Director ended without saying anything: it was killed, or its machine ran out of memory.

    One that says why it cannot go on would not be able to the next time either.

    Args:
        summary: What its launcher knows of its end.
    """
    return bool(summary.get("crashed"))


def orderly(summary: Mapping[str, Any]) -> bool:
    """Whether a Director ended as it should: all that it had accepted is in its ledger, and it says why it ended."""
    return bool(summary.get("ok"))


def launch_again(summary: Mapping[str, Any], relaunched: int, limit: int = MAX_RELAUNCHES) -> bool:
    """Whether a Director is launched again.

    Args:
        summary: What its launcher knows of its end.
        relaunched: How often it has been launched again already.
        limit: How often it may be.
    """
    return crashed(summary) and relaunched < limit
