"""Finding the checkpoint that a later attempt goes on from, and putting the files back where they were then."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.checkpoints import Checkpoint
from simulations.growing import NotAsSavedError, put_back
from simulations.md.keeping import find_kept_start
from simulations.md.output import DcdWriter, table_header
from simulations.md.production import STATE_TABLE, TRAJECTORY
from simulations.md.saved import Saved, UnusableError
from simulations.md.start import Start
from simulations.workspace import Workspace


@dataclass(frozen=True)
class Resumption:
    """Where an attempt goes on.

    Attributes:
        checkpoint: The checkpoint as it is stored.
        saved: What is in it.
        start: The start of production then.
    """

    checkpoint: Checkpoint
    saved: Saved
    start: Start


def find_resumption(identity: str, workspace: Workspace) -> Resumption | None:
    """Finds the newest checkpoint of use, and cuts trajectory and state table back to it.

    Args:
        identity: Names the simulation; see `simulations.md.saved.identity`.
        workspace: The Request's.

    Returns:
        None if there is none: the simulation begins anew then.

    Raises:
        ToolError: ``DiskFull`` or ``DiskFailed``.
        Superseded: If a later attempt has the folder.
        OSError: If the files cannot be copied.
    """
    for checkpoint in workspace.load():
        try:
            return _resumption(checkpoint, identity, workspace)
        except UnusableError as error:
            workspace.note(f"checkpoint {checkpoint.number} of attempt {checkpoint.epoch} was passed over: {error}")
    return None


def _resumption(checkpoint: Checkpoint, identity: str, workspace: Workspace) -> Resumption:
    saved = Saved.decode(checkpoint.content)
    if saved.origin.identity != identity:
        raise UnusableError("it is of another simulation or version")
    start = find_kept_start(saved.origin.start, workspace)
    if start is None:
        raise UnusableError("the start of production that belongs to it is not there or damaged")
    periodic = start.prepared.box is not None
    extents = {TRAJECTORY[1]: saved.trajectory, STATE_TABLE[1]: saved.table}
    headers = {TRAJECTORY[1]: DcdWriter.HEADER, STATE_TABLE[1]: len(table_header(periodic=periodic))}
    try:
        # What a stage's checkpoint goes on to writes new ones.
        put_back(workspace, checkpoint, extents if saved.stage is None else {}, headers)
    except NotAsSavedError as error:
        raise UnusableError(str(error)) from error
    return Resumption(checkpoint, saved, start)
