"""Directors: launch them, send them Requests, read their Outcomes.

The names below are loaded when they are first used, since workers import this package too and need none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from director.call import WoundDown
    from director.door import Refused
    from director.exchange import choose as choose_exchange
    from director.fleet import DirectorLost, Fleet, LaunchError
    from director.launch import run_director
    from director.live import outcome_table
    from director.report import report_outcomes, report_run
    from director.requests import sweep
    from director.sites.embedded import EmbeddedSite
    from director.sites.globus import GlobusSite
    from director.spec import DirectorSpec
    from director.submitting import options_of as template_options
    from director.watching import watch
    from simulations.records import Outcome, Request

_HOMES = {
    "DirectorLost": "director.fleet",
    "DirectorSpec": "director.spec",
    "EmbeddedSite": "director.sites.embedded",
    "Fleet": "director.fleet",
    "GlobusSite": "director.sites.globus",
    "LaunchError": "director.fleet",
    "Outcome": "simulations.records",
    "Refused": "director.door",
    "Request": "simulations.records",
    "WoundDown": "director.call",
    "choose_exchange": "director.exchange:choose",
    "outcome_table": "director.live",
    "report_outcomes": "director.report",
    "report_run": "director.report",
    "run_director": "director.launch",
    "sweep": "director.requests",
    "template_options": "director.submitting:options_of",
    "watch": "director.watching",
}

__all__ = [
    "DirectorLost",
    "DirectorSpec",
    "EmbeddedSite",
    "Fleet",
    "GlobusSite",
    "LaunchError",
    "Outcome",
    "Refused",
    "Request",
    "WoundDown",
    "choose_exchange",
    "outcome_table",
    "report_outcomes",
    "report_run",
    "run_director",
    "sweep",
    "template_options",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'director' has no attribute {name!r}")
    home, _, own = _HOMES[name].partition(":")
    return getattr(importlib.import_module(home), own or name)
