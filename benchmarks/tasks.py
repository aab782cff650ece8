"""What the bare executor runs, in a module of its own, since workers import it."""

import time


def nap(duration_s: float) -> None:
    """Sleeps."""
    time.sleep(duration_s)
