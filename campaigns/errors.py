"""What is wrong with what a user gave to a campaign."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        where: The place in the campaign file, such as ``policy.planner._target_``, or a path.
        message: What is wrong with it.
        hint: What to do.
    """

    where: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}. {self.hint}"


class NotAcceptable(ValueError):  # noqa: N818  (as `director.door.Refused`)
    """Input that was refused before anything was started.

    Args:
        faults: All that is wrong with it; at least one.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ComponentError(RuntimeError):
    """A component could not do its part. What was done before is in the record, and the campaign can go on from there.

    Args:
        where: Which episode.
        component: Name of the component.
        doing: What it was to do.
        error: What it raised.
    """

    def __init__(self, where: str, component: str, doing: str, error: BaseException) -> None:
        self.hint = getattr(error, "hint", "")
        said = f"{type(error).__name__}: {error}" + (f" ({self.hint})" if self.hint else "")
        super().__init__(f"{where}: {component} could not {doing}: {said}")


def refuse(where: str, message: str, hint: str) -> NotAcceptable:
    """One thing that is wrong, to be raised."""
    return NotAcceptable([Fault(where, message, hint)])


def nearest(name: str, known: Iterable[str], label: str) -> str:
    """What to write instead of a name that is not known. Pure.

    Args:
        name: The name.
        known: Those that there are.
        label: What they are, such as ``Parameters``.
    """
    names = sorted(known)
    alike = difflib.get_close_matches(name, names, n=3)
    close = list(dict.fromkeys([*(one for one in names if name and (name in one or one in name)), *alike]))[:3]
    guess = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{guess}{label}: {', '.join(names) or 'none'}"
