"""Importing Parsl without what it would import for an executor that is not used here.

``import parsl`` tries the SDK of Globus Compute, which takes a fifth of the time, and goes on if it is not installed.
Every process of a run imports Parsl, so for that moment it is not.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import Iterator

UNUSED = "globus_compute_sdk"


@contextlib.contextmanager
def lean_parsl() -> Iterator[None]:
    """Where Parsl is to be imported. Afterwards the SDK can be imported as ever; if it was before, it stays."""
    if UNUSED in sys.modules:
        yield
        return
    sys.modules[UNUSED] = None  # type: ignore[assignment]  # how Python marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules[UNUSED]


def main() -> None:
    """Runs a module of Parsl's, which the command line names, as ``python -m`` would."""
    with lean_parsl():
        import parsl  # noqa: F401
    runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
