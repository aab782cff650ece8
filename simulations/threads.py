"""How many threads compiled libraries use, set where they are and not in the environment."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

_LIBRARY = re.compile(r"(/\S*/lib[^/\s]*?(gomp|omp|iomp5|openblas)[^/\s]*\.so[^/\s]*)\s*$")
_SETTERS = (
    "omp_set_num_threads",
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)
"""Functions that take the number of threads: OpenMP's, and OpenBLAS's under the names that NumPy and SciPy give it."""


def threaded_libraries(maps: str) -> list[str]:
    """Paths of the OpenMP and OpenBLAS libraries in the text of ``/proc/self/maps``."""
    return sorted({match[1] for match in map(_LIBRARY.search, maps.splitlines()) if match})


def use_threads(threads: int) -> None:
    """Sets how many threads all OpenMP and OpenBLAS libraries use that this process has loaded.

    They would use one for each core that they see. A worker may own fewer, and more threads than cores wait for one
    another: a relaxation of a few atoms then takes ten times as long.

    Args:
        threads: At least one.

    Raises:
        OSError: If the system does not tell which libraries are loaded; it is no Linux then.
    """
    for path in threaded_libraries(Path("/proc/self/maps").read_text()):
        library = ctypes.CDLL(path)
        for name in _SETTERS:
            setter = getattr(library, name, None)
            if setter is not None:
                setter(ctypes.c_int(threads))
