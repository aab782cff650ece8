"""Whether Directors of a run live, by their leases."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from director.lease import BEAT_S, EXPIRES_S, Holder, Newcomer
from director.lease_watch import Step
from director.runfolder import RunFolder, RunRecord

LOOK_S = 0.25
AT_ONCE = 32
# So long does a Director take at most to end when its client is gone.
ENDING_S = 8.0


def living(folder: RunFolder, record: RunRecord, *, patience_s: float = ENDING_S) -> list[str]:
    """Which of a run's Directors live. Blocks, for ``patience_s`` at most if some do, and a few seconds otherwise.

    Args:
        folder: The run folder.
        record: The run's record.
        patience_s: How long to wait for those that are about to end, in s.

    Returns:
        For each that lives who it is. One on another machine that has just been killed may not be told from one that
        lives, and is not named; whoever takes its lease finds out.
    """
    give_up = time.monotonic() + patience_s
    indices = range(len(record.partitions))
    with ThreadPoolExecutor(min(len(indices), AT_ONCE), thread_name_prefix="lease") as looking:
        while True:
            found = [who for who in looking.map(lambda index: _holder(folder, record, index), indices) if who]
            if not found or time.monotonic() > give_up:
                return found


def _holder(folder: RunFolder, record: RunRecord, index: int) -> str | None:
    here = Holder(
        run_id=record.run_id,
        director=index,
        launch_id="",
        host=socket.gethostname(),
        pid=os.getpid(),
        job_id=None,
        since=datetime.now(UTC),
    )
    newcomer = Newcomer(folder.lease(index), here, beat_s=BEAT_S, expires_s=EXPIRES_S, clock=time.monotonic)
    give_up = time.monotonic() + 2 * BEAT_S
    while time.monotonic() < give_up:
        try:
            step = newcomer.look()
        except OSError:  # there has never been a lease, or it cannot be seen: whoever takes it says so
            return None
        if step is Step.HELD:
            return f"Director {index}, {newcomer.held().holder}"
        if step is Step.TAKE:
            return None
        time.sleep(LOOK_S)
    return None
