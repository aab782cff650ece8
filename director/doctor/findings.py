"""What the doctor says: findings, and checks that are made side by side, each with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        topic: What it belongs to, such as ``scheduler``.
        check: What was checked, such as ``queue``.
        state: How it ended.
        found: What was found; of a check that was not made, why it was not.
        hint: What to do. What has failed, or is doubtful, always has one.

    Raises:
        ValueError: If there should be a hint and is none.
    """

    topic: str
    check: str
    state: State
    found: str
    hint: str = ""

    def __post_init__(self) -> None:
        if self.state in (State.WARNING, State.FAILED) and not self.hint:
            raise ValueError(f"{self.topic}: {self.check}: a finding that is not well must say what to do")


@dataclass(frozen=True)
class Topic:
    """Makes the findings of one topic."""

    name: str

    def ok(self, check: str, found: str) -> Finding:
        """All is well."""
        return Finding(self.name, check, State.OK, found)

    def warning(self, check: str, found: str, hint: str) -> Finding:
        """It works, or may, and should be looked at."""
        return Finding(self.name, check, State.WARNING, found, hint)

    def failed(self, check: str, found: str, hint: str) -> Finding:
        """It does not work."""
        return Finding(self.name, check, State.FAILED, found, hint)

    def unchecked(self, check: str, why: str, hint: str = "") -> Finding:
        """It could not be checked, or was not."""
        return Finding(self.name, check, State.UNCHECKED, why, hint)


@dataclass(frozen=True)
class Check:
    """Something to look into.

    Attributes:
        topic: What it belongs to.
        make: Gathers and judges. Every program and connection of it has a time limit of its own.
        limit_s: When it is given up: name look-ups and file systems can hang where nobody set a limit.
    """

    topic: str
    make: Callable[[], Sequence[Finding]]
    limit_s: float


@dataclass
class _Begun:
    check: Check
    done: threading.Event = field(default_factory=threading.Event)
    findings: Sequence[Finding] = ()
    error: Exception | None = None

    def run(self) -> None:
        try:
            self.findings = self.check.make()
        except Exception as error:  # a check that breaks says so, and the others go on
            self.error = error
        finally:
            self.done.set()


def side_by_side(checks: Sequence[Check]) -> list[Finding]:
    """Makes checks at once, and returns their findings in the order of the checks.

    A check that takes longer than its limit is left behind: it cannot keep the process from ending.
    """
    begun = [_Begun(check) for check in checks]
    for one in begun:
        threading.Thread(target=one.run, name=f"check {one.check.topic}", daemon=True).start()
    found: list[Finding] = []
    for one in begun:
        topic = Topic(one.check.topic)
        if not one.done.wait(one.check.limit_s):
            hint = "Something hangs, such as a file system, a name look-up or a program of the scheduler. Look at it"
            found.append(topic.failed("time", f"no answer within {one.check.limit_s:g} s", hint))
        elif one.error is not None:
            told = f"{type(one.error).__name__}: {one.error}"
            found.append(topic.failed("check", f"could not be made ({told})", "Report this: the check itself broke"))
        else:
            found += one.findings
    return found
