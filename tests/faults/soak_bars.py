"""What a soak must have shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from tests.faults.soak import Tally, shown
from tests.faults.soak_round import CHECKPOINT_S

DURATION_S = float(os.environ.get("SOAK_S", "455"))
"""Two soaks of this length are more than 15 minutes."""
WHOLE_S = 450.0
"""Shorter ones, for trying things out, need not meet many kinds of faults."""
SEED = int(os.environ.get("SOAK_SEED", "2026"))
HOUSEKEEPING_S = 1.0
STRIDE_S = 0.5
CROWDED_S = 3.0
"""By so much a checkpoint may be late where ten processes share each core."""


def assert_nothing_lost(
    title: str,
    tally: Tally,
    seconds: float,
    folder: Path,
    record_property: Callable[[str, object], None],
    *,
    kinds: Collection[str],
) -> None:
    """Records the table, and fails if an invariant did not hold.

    Args:
        title: What was soaked.
        tally: What was found.
        seconds: How long it took, in s.
        folder: Where the table is written.
        record_property: Pytest's fixture.
        kinds: The kinds of faults that were planned.
    """
    table = shown(f"{title}, SOAK_SEED={SEED} SOAK_S={DURATION_S:g}", tally, seconds, CHECKPOINT_S)
    (folder / "table.txt").write_text(table + "\n")
    record_property("table", table)
    assert not tally.violations, table
    assert tally.lost == [], table
    assert tally.doubled == [], table
    assert seconds >= DURATION_S, table
    assert tally.resumed > 0, table
    assert tally.equal > 0, table
    worst = max((loss.lost_s or 0.0 for loss in tally.losses), default=0.0)
    assert worst <= CHECKPOINT_S + HOUSEKEEPING_S + STRIDE_S + CROWDED_S, table
    if DURATION_S >= WHOLE_S:  # how many faults there are in this time is the machine's affair
        struck = {fault.kind for fault in tally.faults}
        assert set(tally.missed) <= struck, f"never anything to kill: {set(tally.missed) - struck}\n{table}"
        assert 2 * len({fault.kind for fault in tally.at_work}) >= len(kinds), f"few struck where work ran\n{table}"
