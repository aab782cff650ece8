"""How long Requests take, learned from those that ran. Pure.

What is learned belongs to a *kind* of work: a Tool, a size (`simulations.tool.Tool.size`) and an accelerator. Estimates
are for decisions that must not be too hopeful, such as whether a Request still fits before the job's end. They are made
of the longest start-up and the slowest rate among the latest attempts, over all accelerators of this Director.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulations.records import Course
from simulations.tool import AnyTool

logger = logging.getLogger(__name__)

SAMPLES = 32
MAX_KINDS = 512
SECONDS_PER_DAY = 86_400.0
LEAST_WORK_S = 1e-6
LONGEST_S = 1e10
"""Three centuries: what would take longer is never begun either way, and times of the calendar end somewhere."""


@dataclass(frozen=True)
class Kind:
    """Work that takes about as long for each unit of it.

    Attributes:
        tool: Name of the Tool.
        size: What the Tool calls its size; empty if it does not tell sizes apart.
        accelerator: Name of the worker's accelerator; empty if it has none.
    """

    tool: str
    size: str
    accelerator: str


def kind_of(tool: AnyTool, inputs: Mapping[str, Any], accelerator: str | None) -> Kind:
    """The kind of work that a Request is on a worker.

    Args:
        tool: Its Tool.
        inputs: Its inputs, checked and complete.
        accelerator: What the worker owns.

    Raises:
        Exception: Whatever the Tool's own ``size`` raises.
    """
    # Most Requests that are many have no size, and cost no validation.
    size = "" if tool.size is None else tool.size(tool.request.model_validate(inputs))
    return Kind(tool.name, size, accelerator or "")


def _latest() -> deque[float]:
    return deque(maxlen=SAMPLES)


@dataclass
class _Samples:
    """What the latest attempts of a kind took: in s, units of work per s, and their unit."""

    unit: str = ""
    count: int = 0
    startups_s: deque[float] = field(default_factory=_latest)
    rates: deque[float] = field(default_factory=_latest)
    whole_s: deque[float] = field(default_factory=_latest)


class Timing:
    """What is known of how long Requests take.

    Each kind keeps its latest 32 attempts; of more than 512 kinds those that were learned longest ago are forgotten.
    As long as a kind has no more than 32 attempts, their order makes no difference. Nothing here raises: a Tool whose
    ``size`` or ``amount`` fails is treated as if it had none, and the log says so once.
    """

    def __init__(self) -> None:
        self._kinds: OrderedDict[Kind, _Samples] = OrderedDict()
        self._accelerators: dict[tuple[str, str], list[str]] = {}
        self._failing: set[tuple[str, str]] = set()

    def learn(
        self,
        tool: AnyTool,
        inputs: Mapping[str, Any],
        *,
        accelerator: str | None,
        course: Course,
        started_at: datetime,
        ended_at: datetime,
    ) -> None:
        """Notes how long an attempt took. Meant for attempts that ended ok, and for those that paused.

        Start-up is ``course.began_at − started_at``; the rate is ``course.amount − course.from_amount`` over what is
        left until ``ended_at``. Where no amounts are known, the whole time counts.

        Args:
            tool: Its Tool.
            inputs: Its inputs, checked and complete.
            accelerator: What its worker owned.
            course: How far it got.
            started_at: When it began on its worker (UTC).
            ended_at: When it ended (UTC).
        """
        kind = self._kind(tool, inputs, accelerator)
        samples = self._kinds.get(kind)
        if samples is None:
            samples = self._add(kind)
        self._kinds.move_to_end(kind)
        samples.count += 1
        samples.unit = tool.unit
        whole_s = max(0.0, (ended_at - started_at).total_seconds())
        samples.whole_s.append(whole_s)
        startup_s = 0.0
        if course.began_at is not None:
            startup_s = min(max(0.0, (course.began_at - started_at).total_seconds()), whole_s)
            samples.startups_s.append(startup_s)
        if course.amount is not None:
            # An attempt that did nothing says nothing about the rate.
            gained = course.amount - course.from_amount
            if gained > 0 and math.isfinite(gained):
                samples.rates.append(gained / max(LEAST_WORK_S, whole_s - startup_s))

    def startup_s(self, tool: AnyTool, inputs: Mapping[str, Any]) -> float | None:
        """Longest start-up among the latest attempts of such a Request, in s; None if none is known."""
        return max((max(item.startups_s) for item in self._like(tool, inputs) if item.startups_s), default=None)

    def expected_s(self, tool: AnyTool, inputs: Mapping[str, Any], *, from_amount: float = 0.0) -> float | None:
        """How long a Request will take from its start on a worker, cautiously.

        It is the longest start-up, and what remains to be done over the slowest rate. Where the Tool tells no amounts,
        it is the longest whole time, wherever it goes on from.

        Args:
            tool: Its Tool.
            inputs: Its inputs, checked and complete.
            from_amount: What its checkpoint holds, in the Tool's unit of work.

        Returns:
            Seconds, at most `LONGEST_S` where it is computed from a rate, or None if nothing is known.
        """
        known = list(self._like(tool, inputs))
        amount = self._amount(tool, inputs) if known else None
        slowest = min((min(item.rates) for item in known if item.rates), default=None)
        if amount is not None and slowest is not None:
            startup_s = max((max(item.startups_s) for item in known if item.startups_s), default=0.0)
            return min(startup_s + max(0.0, amount - from_amount) / slowest, LONGEST_S)
        return max((max(item.whole_s) for item in known), default=None)

    def rates(self) -> list[dict[str, Any]]:
        """What was learned, for people.

        Returns:
            For each kind, by name: ``tool``, ``size``, ``accelerator``, ``unit``, ``amount_per_day`` (mean, in the
            unit; null where no amounts are known), ``startup_s`` (mean, or null), ``whole_s`` (mean duration of an
            attempt) and ``n`` (how many attempts there were; the means are of the latest 32).
        """
        ordered = sorted(self._kinds.items(), key=lambda item: (item[0].tool, item[0].size, item[0].accelerator))
        return [
            {
                "tool": kind.tool,
                "size": kind.size,
                "accelerator": kind.accelerator,
                "unit": item.unit,
                "amount_per_day": _mean(item.rates, SECONDS_PER_DAY),
                "startup_s": _mean(item.startups_s),
                "whole_s": _mean(item.whole_s),
                "n": item.count,
            }
            for kind, item in ordered
        ]

    def _add(self, kind: Kind) -> _Samples:
        if len(self._kinds) >= MAX_KINDS:
            oldest, _ = self._kinds.popitem(last=False)
            accelerators = self._accelerators[oldest.tool, oldest.size]
            accelerators.remove(oldest.accelerator)
            if not accelerators:
                del self._accelerators[oldest.tool, oldest.size]
        self._accelerators.setdefault((kind.tool, kind.size), []).append(kind.accelerator)
        self._kinds[kind] = samples = _Samples()
        return samples

    def _like(self, tool: AnyTool, inputs: Mapping[str, Any]) -> Iterator[_Samples]:
        kind = self._kind(tool, inputs, None)
        for accelerator in self._accelerators.get((kind.tool, kind.size), ()):
            yield self._kinds[Kind(kind.tool, kind.size, accelerator)]

    def _kind(self, tool: AnyTool, inputs: Mapping[str, Any], accelerator: str | None) -> Kind:
        try:
            return kind_of(tool, inputs, accelerator)
        except Exception as error:  # a Tool is somebody else's code, and must not end the Director
            self._complain(tool, "size", error)
            return Kind(tool.name, "", accelerator or "")

    def _amount(self, tool: AnyTool, inputs: Mapping[str, Any]) -> float | None:
        if tool.amount is None:
            return None
        try:
            amount = float(tool.amount(tool.request.model_validate(inputs)))
        except Exception as error:  # likewise
            self._complain(tool, "amount", error)
            return None
        return amount if math.isfinite(amount) else None

    def _complain(self, tool: AnyTool, what: str, error: Exception) -> None:
        if (tool.name, what) not in self._failing:
            self._failing.add((tool.name, what))
            logger.warning(
                "%s of the Tool %s failed (%s: %s); going on without", what, tool.name, type(error).__name__, error
            )


def _mean(samples: deque[float], scale: float = 1.0) -> float | None:
    return scale * sum(samples) / len(samples) if samples else None
