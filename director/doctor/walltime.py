"""Durations as schedulers write them. Pure."""

from __future__ import annotations

import re

_SLURM = re.compile(r"(?:(?P<days>\d{1,9})-)?(?P<parts>\d{1,9}(?::\d{1,9}){0,2})", re.ASCII)
_PBS = re.compile(r"\d{1,9}(?::\d{1,9}){0,3}", re.ASCII)
_NONE = ("UNLIMITED", "INFINITE", "NONE", "N/A", "")


def slurm_seconds(text: str) -> int | None:
    """Reads ``30``, ``30:00``, ``01:30:00``, ``2-12``, ``2-12:30`` or ``2-12:30:00``; None: without end.

    Raises:
        ValueError: If it is none of them.
    """
    if text.upper() in _NONE:
        return None
    found = _SLURM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration of Slurm")
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return ((int(found["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(parts) == 1:
        return parts[0] * 60
    return _sum(parts)


def pbs_seconds(text: str) -> int:
    """Reads ``1800``, ``30:00``, ``01:30:00`` or ``2:01:30:00``.

    Raises:
        ValueError: If it is none of them.
    """
    if not _PBS.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration of PBS")
    parts = [int(part) for part in text.split(":")]
    return parts[0] * 86400 + _sum(parts[1:]) if len(parts) == 4 else _sum(parts)


def shown(seconds: int) -> str:
    """Writes a duration as ``HH:MM:SS``."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _sum(parts: list[int]) -> int:
    total = 0
    for part in parts:
        total = 60 * total + part
    return total
