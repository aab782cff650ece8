"""Which versions must be the same on both sides, and whether they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from director.doctor.findings import Finding, State, Topic

EXACT, MINOR, MAJOR = 0, 2, 1
_ALIKE = {EXACT: "the same version", MINOR: "the same major.minor version", MAJOR: "the same major version"}


@dataclass(frozen=True)
class Rule:
    """How alike two versions must be.

    Attributes:
        parts: How many leading numbers must be the same: `EXACT` (all), `MINOR` or `MAJOR`.
        state: What it is if they are not.
        why: What goes wrong then.
    """

    parts: int
    state: State
    why: str


# Parsl compares versions itself, and turns worker pools away.
WORKERS = {
    "python": Rule(MINOR, State.FAILED, "Parsl turns worker pools of another Python away"),
    "md-director": Rule(MINOR, State.FAILED, "a Director would not understand what it is told"),
    "dill": Rule(EXACT, State.FAILED, "functions and results may not be readable on the other side"),
    "pydantic": Rule(MAJOR, State.WARNING, "models may be checked differently"),
    "academy-py": Rule(MAJOR, State.FAILED, "messages of the exchange may not be understood"),
    "globus-compute-endpoint": Rule(EXACT, State.FAILED, "the engine and its workers must be the same release"),
    "globus-compute-sdk": Rule(EXACT, State.FAILED, "the engine and its workers must be the same release"),
    "parsl": Rule(EXACT, State.FAILED, "Parsl turns worker pools of another version away"),
}
# Directors are sent as text and JSON, which every Python reads. Functions of a user's own are not.
LAPTOP = {
    "python": Rule(MINOR, State.WARNING, "Directors work, functions of your own may not"),
    "md-director": WORKERS["md-director"],
    "dill": Rule(EXACT, State.WARNING, "Directors work, functions of your own may not"),
    "pydantic": WORKERS["pydantic"],
    "academy-py": WORKERS["academy-py"],
    "globus-compute-sdk": Rule(MAJOR, State.WARNING, "tasks may be packed differently"),
}


def alike(one: str, other: str, parts: int) -> bool:
    """Whether two versions begin with the same numbers, or are the same if ``parts`` is `EXACT`."""
    if parts == EXACT:
        return one == other
    return _numbers(one)[:parts] == _numbers(other)[:parts]


def compare(
    topic: Topic,
    here: Mapping[str, str],
    there: Mapping[str, str],
    rules: Mapping[str, Rule],
    *,
    place: str,
    python: str,
) -> list[Finding]:
    """Compares what is installed there with what is installed here.

    Args:
        topic: What the findings belong to.
        here: Versions of this environment; what it lacks is not compared.
        there: Versions of the other one.
        rules: How alike they must be.
        place: Where that is, as in "in the workers' environment".
        python: That environment's Python, for the command that mends it.
    """
    found = []
    same = []
    for name, rule in rules.items():
        mine, other = here.get(name), there.get(name)
        title = "Python" if name == "python" else name
        if mine is None:
            continue
        if other is None:
            what = f"is not installed {place}"
            found.append(topic.failed(name, what, f"Install it there: {python} -m pip install '{name}=={mine}'"))
        elif alike(mine, other, rule.parts):
            same.append(f"{title} {other}")
        else:
            what = f"{title} is {other} {place}, and {mine} here: {rule.why}"
            found.append(Finding(topic.name, name, rule.state, what, _remedy(name, mine, rule, python)))
    if same:
        found.append(topic.ok("versions", f"as here: {', '.join(same)}"))
    return found


def _remedy(name: str, mine: str, rule: Rule, python: str) -> str:
    if name == "python":
        wanted = ".".join(map(str, _numbers(mine)[:2]))
        return f"Make that environment with Python {wanted}, or this one with the Python of that one"
    return f"Install {_ALIKE[rule.parts]} on both sides, as with: {python} -m pip install '{name}=={mine}'"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]
