"""Which tests run when none are named, and what all of them may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.llm.fixtures import llm

__all__ = ["llm"]

HERE = Path(__file__).resolve().parent
SUITES = ("agent_runs", "campaign_runs", "cluster", "docs", "examples", "faults", "globus", "physics")
LONGER = [HERE / name for name in SUITES]
"""Suites with a make target of their own."""
WAITING = ("test_services", "test_fleet", "test_remote", "test_cli")
"""Files that take minutes, nearly all of it waiting for processes."""

# Whether an example is right does not depend on how busy the machine is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves longer suites out unless the command line names their folder, or something in it."""
    suite = next((folder for folder in LONGER if collection_path.resolve().is_relative_to(folder)), None)
    start = config.invocation_params.dir
    named = [(start / argument.partition("::")[0]).resolve() for argument in config.args]
    return True if suite is not None and not any(path.is_relative_to(suite) for path in named) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has files that take minutes begin first: at the end, one of them would run alone."""
    items.sort(key=lambda item: item.path.stem not in WAITING)
