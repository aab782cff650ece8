"""Checkpoints as bytes: arrays and JSON, nothing that is code."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from simulations.atomistic.inputs import AtomisticInputs
from simulations.atomistic.models import VERSION

Arrays = dict[str, NDArray[Any]]

INDIFFERENT = {"checkpoint_interval_s", "structure"}
"""Inputs that may differ between attempts of one Request: the structure itself is compared."""


class UnusableError(Exception):
    """A checkpoint that another simulation wrote, or that something is missing to go on from."""


def pack(about: dict[str, Any], arrays: Arrays) -> bytes:
    """JSON values and arrays as the bytes of an ``.npz`` file, with every digit."""
    stream = io.BytesIO()
    text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    np.savez(stream, **{**arrays, "about": text})  # type: ignore[arg-type]
    return stream.getvalue()


def unpack(content: bytes) -> tuple[dict[str, Any], Arrays]:
    """What `pack` packed.

    Raises:
        UnusableError: If it is something else.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = dict(stored)
        return json.loads(arrays.pop("about").tobytes()), arrays
    except (ValueError, KeyError, OSError) as error:
        raise UnusableError(f"it was written otherwise: {type(error).__name__}: {error}") from error


def identity(request: AtomisticInputs, atoms: Atoms) -> str:
    """Hash of all that decides what is computed: inputs, structure, version of the Tool."""
    said = [type(request).__name__, VERSION, request.model_dump(mode="json", exclude=INDIFFERENT)]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    momenta = atoms.get_momenta() if atoms.has("momenta") else np.zeros(0)
    for array in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, atoms.get_masses(), momenta):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
