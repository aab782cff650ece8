"""A scorer that learns ionization energies from fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from campaigns.environment import View
from campaigns.errors import refuse
from campaigns.molecules.candidate import Molecule
from campaigns.surrogate.acquisition import Acquisition
from campaigns.surrogate.models import ModelName
from campaigns.surrogate.scorer import Array, Surrogate
from simulations.extras import need


class SurrogateScorer(Surrogate[Molecule]):
    """Ranks molecules by a model of their scores on Morgan fingerprints.

    Fingerprints are those of D. Rogers and M. Hahn, J. Chem. Inf. Model. 50 (2010) 742, as RDKit computes them.

    Args:
        model: ``gaussian_process`` or ``random_forest``.
        acquisition: ``greedy``, ``ucb`` or ``expected_improvement``.
        exploration_factor: Weight of the uncertainty with ``ucb``.
        num_initial: How many scores there are to be before the model is asked; until then ranks are random.
        kernel: Of the Gaussian process: ``tanimoto`` or ``dot_product``.
        radius: Of the fingerprint, in bonds.
        fingerprint_size: Its length.
        counts: Whether it counts how often each part is there, or says only that it is.
        n_estimators: Trees of the random forest.
        seed: Seed of random ranks and of the forest.

    Raises:
        NotAcceptable: If an argument is none of those.
    """

    def __init__(
        self,
        model: ModelName = "gaussian_process",
        acquisition: Acquisition = "greedy",
        exploration_factor: float = 1.0,
        num_initial: int = 3,
        kernel: Literal["tanimoto", "dot_product"] = "tanimoto",
        radius: int = 2,
        fingerprint_size: int = 2048,
        counts: bool = True,
        n_estimators: int = 200,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            model=model,
            acquisition=acquisition,
            exploration_factor=exploration_factor,
            num_initial=num_initial,
            kernel=kernel,
            kernels=("tanimoto", "dot_product"),
            n_estimators=n_estimators,
            seed=seed,
        )
        for name, number, least, most in (
            ("radius", radius, 0, 10),
            ("fingerprint_size", fingerprint_size, 16, 65536),
        ):
            if isinstance(number, bool) or not least <= number <= most:
                raise refuse(name, f"is {number!r}", f"A whole number from {least} to {most}")
        self._radius = radius
        self._size = fingerprint_size
        self._counts = counts
        self._known: dict[str, Array] = {}

    def features(self, candidates: Sequence[Molecule], view: View[Molecule]) -> Array:
        """Fingerprints, shape (candidates, fingerprint_size).

        Raises:
            ToolError: ``MissingExtra``, if RDKit is not installed.
        """
        return np.stack([self._fingerprint(candidate.smiles) for candidate in candidates])

    def _fingerprint(self, smiles: str) -> Array:
        if smiles not in self._known:
            chem = need("rdkit.Chem", "chem")
            make = need("rdkit.Chem.rdFingerprintGenerator", "chem").GetMorganGenerator(
                radius=self._radius, fpSize=self._size
            )
            parsed = chem.MolFromSmiles(smiles)
            found = make.GetCountFingerprintAsNumPy(parsed) if self._counts else make.GetFingerprintAsNumPy(parsed)
            self._known[smiles] = found.astype(np.float64)
        return self._known[smiles]
