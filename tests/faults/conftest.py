"""Tests that break things. They run only if they are named: ``make test-faults``, or pytest with their path."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LONGEST = (
    "test_soak_slurm.py",
    "test_soak.py",
    "test_walltime.py",
    "test_resume.py",
    "test_lifetimes.py",
    "test_parsl_pool.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: the short ones fill up what is left of the time beside them."""
    order = {HERE / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the tables that tests have recorded as the property ``table``, wherever they ran."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    tables = [
        value
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "table"
    ]
    if tables:
        terminalreporter.section("tables")
        for table in tables:
            terminalreporter.write_line(f"{table}\n")
