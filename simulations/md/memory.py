"""Telling that memory ran out, of a GPU or of the node, from the many ways in which that is said."""

from __future__ import annotations

import re

from simulations.errors import ToolError
from simulations.md.platforms import GPU_PLATFORMS

_SAID = re.compile(
    r"""
    CUDA_ERROR_OUT_OF_MEMORY | CUFFT_ALLOC_FAILED | hipErrorOutOfMemory | out\ of\ memory | cannot\ allocate\ memory
    | CL_(?:MEM_OBJECT_ALLOCATION_FAILURE|OUT_OF_HOST_MEMORY|INVALID_BUFFER_SIZE)
    | \bcl[A-Z]\w+\ \(-(?:4|6|61)\)     # the same, as OpenMM has them: the function's name and the number
    | \bbad_alloc\b | bad\ allocation
    """,
    re.VERBOSE | re.IGNORECASE,
)


def out_of_memory(error: BaseException, platform: str, n_atoms: int | None) -> ToolError | None:
    """The error of a simulation that needs more memory than there is; None if this was another one.

    Args:
        error: A MemoryError, or what OpenMM raised.
        platform: The OpenMM platform that it ran on.
        n_atoms: Particles of the system; None if it was not built yet.
    """
    if not isinstance(error, MemoryError) and not _SAID.search(str(error)):
        return None
    on_gpu = platform in GPU_PLATFORMS and not isinstance(error, MemoryError) and "bad_alloc" not in str(error)
    where = "the GPU" if on_gpu else "the node"
    fewer = "workers_per_accelerator" if on_gpu else "workers_per_node"
    what = "the system" if n_atoms is None else f"a system of {n_atoms} particles"
    said = str(error) or type(error).__name__
    return ToolError(
        f"{where} has too little memory left for {what} on platform {platform}: {said}",
        hint=f"run fewer simulations at once ({fewer}), make the system smaller (padding_nm), or use a larger "
        f"{'GPU' if on_gpu else 'node'}",
        kind="OutOfMemory",
        details={} if n_atoms is None else {"n_atoms": n_atoms},
    )
