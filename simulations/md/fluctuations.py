"""How far atoms fluctuate about their mean positions, molecule by molecule superposed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from simulations.md.analysis import Array


def superposed(moved: Array, reference: Array) -> Array:
    """Turns and moves frames onto a reference so that the unweighted RMSD is least (Kabsch 1976, 1978).

    Args:
        moved: Shape (frames, n, 3).
        reference: Shape (n, 3); its centre stays where it is.

    Returns:
        The frames, shape (frames, n, 3).
    """
    centre = reference.mean(axis=0)
    about = moved - moved.mean(axis=1, keepdims=True)
    left, _, right = np.linalg.svd(about.transpose(0, 2, 1) @ (reference - centre))
    # Without this a mirror image might fit better.
    left[:, :, 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]
    turned: Array = about @ (left @ right) + centre
    return turned


def square_fluctuations(pieces: Callable[[], Iterable[Array]], reference: Array) -> Array:
    """Mean square deviation of each atom from its mean position.

    Each frame is superposed on the mean structure, and that is the mean of all frames superposed on the reference.

    Args:
        pieces: Gives the frames, some at a time, shape (frames, n, 3); it is called twice.
        reference: Shape (n, 3).

    Returns:
        Shape (n,), in the square of the coordinates' unit.
    """
    count, total = 0, np.zeros_like(reference)
    for piece in pieces():
        total += superposed(piece, reference).sum(axis=0)
        count += len(piece)
    mean = total / count
    # About the mean of the first pass, which is near that of the second, squares lose no digits.
    deviation, squares = np.zeros_like(mean), np.zeros(len(mean))
    for piece in pieces():
        about = superposed(piece, mean) - mean
        deviation += about.sum(axis=0)
        squares += (about * about).sum(axis=(0, 2))
    deviation /= count
    result: Array = np.maximum(squares / count - (deviation * deviation).sum(axis=1), 0.0)
    return result
