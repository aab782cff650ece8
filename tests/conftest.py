"""Which tests run when none are named, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LONGER = [HERE / name for name in ("cluster", "faults", "globus", "physics")]
"""Suites with a make target of their own."""
LONGEST = [
    HERE / name
    for name in (
        "docs/test_commands.py",
        "director/test_resume.py",
        "director/test_lifetimes.py",
        "docs/test_commands_in_trouble.py",
        "director/test_fleet.py",
        "director/test_remote.py",
        "director/test_steer.py",
        "director/test_tune.py",
        "simulations/test_md_build.py",
    )
]
"""Files that begin first: short ones then fill up what is left of the time beside them."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves longer suites out unless the command line names their folder, or something in it."""
    suite = next((folder for folder in LONGER if collection_path.resolve().is_relative_to(folder)), None)
    start = config.invocation_params.dir
    named = [(start / argument.partition("::")[0]).resolve() for argument in config.args]
    return True if suite is not None and not any(path.is_relative_to(suite) for path in named) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    order = {path: place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
