"""Takes away what a Request kept to go on from, once it need not."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from simulations.checkpoints import discard
from simulations.records import Outcome, Status

logger = logging.getLogger(__name__)


def tidy(work: Path, outcomes: Iterable[Outcome]) -> None:
    """Removes the checkpoints of Requests that ended ``ok``; their artifacts stay. Those of others stay as well.

    To be called when the Outcomes are on disk: until then an attempt may be lost, and the next one goes on from them.

    Args:
        work: Folder of the Requests' folders.
        outcomes: Outcomes that are on disk.
    """
    for outcome in outcomes:
        if outcome.status is Status.OK and any(attempt.course.saved_at for attempt in outcome.history):
            try:
                discard(work / outcome.id)
            except OSError as error:
                logger.warning("checkpoints of %s stay, since they cannot be removed: %s", outcome.id, error)
