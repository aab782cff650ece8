"""Driving a soak: rounds of work, one after the other, while faults happen; each round is audited when it has ended."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from simulations.records import Outcome
from tests.faults.soak import Planned, Tally
from tests.faults.soak_audit import audit
from tests.faults.soak_round import Round

PATIENCE_S = 8.0
GONE_S = 15.0
LEAST_SHARE = 0.2


def drive(
    begin_round: Callable[[int, float], Round],
    faults: Sequence[Planned],
    duration_s: float,
    tally: Tally,
    *,
    director: Path,
) -> float:
    """Runs rounds for so long, lets faults happen, and audits each round. Returns how long they ran, in s.

    The last rounds are cut so that the end is not far off, however slow the machine is.

    Args:
        begin_round: Makes the round with this number, and with this part of the work of a whole one.
        faults: What is to happen.
        duration_s: So long rounds run, in s. The last one is not ended early.
        tally: Where it is written down.
        director: The command.
    """
    due = deque(faults)
    number = 0
    ran_s = 0.0
    whole_s = 0.0
    while ran_s < duration_s:
        share = min(1.0, max(LEAST_SHARE, (duration_s - ran_s) / whole_s)) if whole_s else 1.0
        one = begin_round(number, share)
        number += 1
        try:
            try:
                one.start()
                _drive_round(one, due, tally)
            finally:
                one.close()
            took_s = time.monotonic() - one.began
            whole_s = took_s / share
            ran_s += took_s
            _audit_round(one, tally, director)
        finally:
            shutil.rmtree(one.temporary, ignore_errors=True)
    return ran_s


def _drive_round(one: Round, due: deque[Planned], tally: Tally) -> None:
    """Lets one fault after the other happen. What finds nothing to kill is tried again after the next one."""
    tried_since: float | None = None
    while not one.ended():
        one.tend()
        one.look()
        time.sleep(0.05)
        fault = next((fault for fault in due if fault.kind in one.kinds), None)
        if fault is None or not one.ready(fault):
            continue
        now = time.monotonic()
        tried_since = tried_since or now
        if one.kill(fault.kind, fault.pick) is not None:
            due.remove(fault)
        elif now - tried_since < PATIENCE_S:
            continue
        else:
            if not fault.eager:
                tally.missed[fault.kind] += 1
            place = due.index(fault)
            due.remove(fault)
            due.insert(place + 1, replace(fault, eager=False))
        tried_since = None
    one.look()


def _audit_round(one: Round, tally: Tally, director: Path) -> None:
    give_up = time.monotonic() + GONE_S
    while (left := [*one.left(), *one.litter()]) and time.monotonic() < give_up:
        time.sleep(0.1)
    tally.violations += [f"left behind: {what}" for what in left]
    tally.violations += one.violations
    tally.faults += one.faults
    for fault in one.faults:
        after = [at for at in one.times if at > fault.at]
        if after:
            tally.client_back_s[fault] = min(after) - fault.at
    seen = {name: Outcome.model_validate_json(body).model_dump_json() for name, body in one.seen.items()}
    audit(
        one.run_folder,
        one.faults,
        tally,
        requests=len(one.entries),
        seen=seen,
        glimpses=one.glimpses,
        acknowledged=one.acknowledged,
        director=director,
    )
