"""Directors: launch them, send them Requests, read their Outcomes.

The names below are loaded when they are first used, since workers import this package too and need none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from director.door import Refused
    from director.fleet import DirectorLost, Fleet, LaunchError
    from director.launch import run_director
    from director.live import outcome_table
    from director.report import report_run
    from director.requests import sweep
    from director.spec import DirectorSpec
    from director.watching import watch
    from simulations.records import Outcome, Request

_HOMES = {
    "DirectorLost": "director.fleet",
    "DirectorSpec": "director.spec",
    "Fleet": "director.fleet",
    "LaunchError": "director.fleet",
    "Outcome": "simulations.records",
    "Refused": "director.door",
    "Request": "simulations.records",
    "outcome_table": "director.live",
    "report_run": "director.report",
    "run_director": "director.launch",
    "sweep": "director.requests",
    "watch": "director.watching",
}

__all__ = [
    "DirectorLost",
    "DirectorSpec",
    "Fleet",
    "LaunchError",
    "Outcome",
    "Refused",
    "Request",
    "outcome_table",
    "report_run",
    "run_director",
    "sweep",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'director' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
