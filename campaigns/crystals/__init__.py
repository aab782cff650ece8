"""Crystals as candidates: stable phases of some elements, looked for on a convex hull.

Light to import; pymatgen, SMACT, PyTorch and Chemeleon are loaded by the components that need them.
"""

from campaigns.crystals.cached_generator import CachedGenerator
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.chemeleon_generator import ChemeleonGenerator
from campaigns.crystals.diversity_scorer import CompositionDiversity
from campaigns.crystals.environment import CrystalEnvironment
from campaigns.crystals.filters import MinDistanceFilter, SMACTValidityFilter, UniquenessFilter
from campaigns.crystals.hull import Hull
from campaigns.crystals.oracle import ToolOracle
from campaigns.crystals.oracle_scorer import OracleScorer
from campaigns.crystals.planner import GridSearchPlanner
from campaigns.crystals.random_generator import RandomGenerator
from campaigns.crystals.strategies import (
    DiversityStrategy,
    IterativeStrategy,
    RandomStrategy,
    UcbStrategy,
    UnexploredStrategy,
)

__all__ = [
    "CachedGenerator",
    "ChemeleonGenerator",
    "CompositionDiversity",
    "Crystal",
    "CrystalEnvironment",
    "DiversityStrategy",
    "GridSearchPlanner",
    "Hull",
    "IterativeStrategy",
    "MinDistanceFilter",
    "OracleScorer",
    "RandomGenerator",
    "RandomStrategy",
    "SMACTValidityFilter",
    "ToolOracle",
    "UcbStrategy",
    "UnexploredStrategy",
    "UniquenessFilter",
]
