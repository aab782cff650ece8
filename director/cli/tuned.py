"""What ``director run`` takes from ``director tune``, and says of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from director.batch import Batch
from director.carving import granted, settled
from director.plan import allocation_spec
from director.runs import home
from director.toolbox import tools_with
from director.tuning_store import Advice, TuningStore, advice, machine_of, systems_of
from partitions.surroundings import ThisProcess

DECIDED = ("workers_per_node", "threads_per_worker", "workers_per_accelerator", "lead_workers")
"""Settings of the pool that leave nothing to a tuning, if a user gives one of them."""


def tuned(what: Batch, asked: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """What a run is launched with beside what its user asked for: nothing, unless its systems were tuned on such nodes.

    Args:
        what: The batch.
        asked: What `director.fleet.Fleet.launch` is given so far.
        say: Told what is taken, or why tunings that could be meant are not.

    Raises:
        Refused: If the file of tunings cannot be read.
    """
    pool: dict[str, Any] = dict(asked.get("pool") or {})
    store = TuningStore(home(os.environ))
    entries = store.read()
    if not entries or any(asked.get(name) is not None or pool.get(name) is not None for name in DECIDED):
        return {}
    systems = systems_of(what, tools_with([source.definition for source in what.tools]))
    if systems is None:
        found = Advice(why_not="the batch has too many different inputs to look them all up")
    else:
        around = ThisProcess()
        try:
            spec = allocation_spec(asked["allocation"], asked.get("nodes"), asked.get("accelerators"))
            allocation = granted(settled(spec, asked["directors"], around.environment), around)
            found = advice(entries, machine_of(allocation, around), systems, store.path)
        except ValueError as error:  # launching says what is wrong with nodes that cannot be had
            found = Advice(why_not=str(error))
    if found.used is None:
        if found.why_not:
            say(f"tuning: none is used: {found.why_not}")
        return {}
    given = {name: value for name, value in found.used.settings.model_dump().items() if value is not None}
    say(f"tuning: {found.used.settings}, as measured {found.used.at:%Y-%m-%d}; --no-tuning goes without")
    return {"pool": {**given, **pool}, "tuning": found.used}
