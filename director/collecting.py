"""How often a process of ours looks for garbage."""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 5, 1_000)


def collect_rarely() -> None:
    """Puts off what stops a whole process: to be called once, at its start, by processes that are ours.

    Where a hundred thousand Requests are open, a full collection takes more than a tenth of a second, in which nobody
    is answered, and finds next to nothing: Requests and Outcomes hold no cycles, and go as soon as nobody has them.
    What is young is looked through as before, so cycles of calls that have ended do not pile up.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
