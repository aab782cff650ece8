"""Campaigns over molecules: which of a list has the highest ionization energy."""

from campaigns.molecules.candidate import Molecule
from campaigns.molecules.environment import MoleculeEnvironment
from campaigns.molecules.filters import ElementFilter, MoleculeValidityFilter
from campaigns.molecules.scorer import SurrogateScorer

__all__ = ["ElementFilter", "Molecule", "MoleculeEnvironment", "MoleculeValidityFilter", "SurrogateScorer"]
