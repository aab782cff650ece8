"""One rank of an MPI program: takes its own cores, and becomes the program.

An ``mpiexec`` reads its own command line, where a value such as ``:`` means something to it. So it is told to run this
script with one path, and the program's arguments stand in that file.

This file runs as a script with nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")


def rank_of(environment: Mapping[str, str]) -> int | None:
    """This process's rank, as the launchers of MPICH and Open MPI say it; None if none does."""
    return next((int(environment[name]) for name in RANK_VARIABLES if environment.get(name, "").isdigit()), None)


def main() -> None:
    """Reads what to become from the file on the command line."""
    said = json.loads(Path(sys.argv[1]).read_text())
    rank = rank_of(os.environ)
    if rank is None:
        sys.exit(f"this mpiexec tells a process its rank by none of {', '.join(RANK_VARIABLES)}")
    mine = said["cores"][rank * said["each"] : (rank + 1) * said["each"]]
    if mine:
        os.sched_setaffinity(0, mine)
    os.execv(said["arguments"][0], said["arguments"])  # noqa: S606  (there is no shell)


if __name__ == "__main__":
    main()
