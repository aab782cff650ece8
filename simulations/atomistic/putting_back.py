"""Going on from a checkpoint: it becomes this attempt's own, and growing files are put back to where it was."""

from __future__ import annotations

from collections.abc import Mapping

from simulations.atomistic.growing import Extent, NotAsSavedError, copy_extent
from simulations.checkpoints import Checkpoint
from simulations.disk import sync_folder
from simulations.workspace import Workspace


def put_back(workspace: Workspace, checkpoint: Checkpoint, extents: Mapping[str, Extent]) -> None:
    """Adopts a checkpoint and cuts files back to what it counts of them: all of them, or nothing is changed.

    They are copied, not cut: an earlier attempt may still write to them.

    Args:
        workspace: The Request's.
        checkpoint: The checkpoint.
        extents: For each file's name, what of it is kept.

    Raises:
        NotAsSavedError: If one of them holds something else.
        ToolError: ``DiskFull`` or ``DiskFailed``.
        Superseded: If a later attempt has the folder.
        OSError: If they cannot be copied.
    """
    copies = []
    try:
        for name, extent in extents.items():
            path = workspace.path(name)
            copies.append((workspace.beside(path), path))
            copy_extent(path, extent, copies[-1][0])
    except NotAsSavedError:
        for copy, _ in copies:
            copy.unlink(missing_ok=True)
        raise
    # First this: were another attempt's later checkpoint to count, it would count frames that are cut off now.
    workspace.adopt(checkpoint)
    for copy, path in copies:
        copy.replace(path)
    sync_folder(workspace.folder)
