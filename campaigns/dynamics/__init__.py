"""Campaigns over settings of molecular dynamics: which of a grid give most of what is looked for."""

from campaigns.dynamics.candidate import Settings
from campaigns.dynamics.environment import DynamicsEnvironment
from campaigns.dynamics.scorer import SurrogateScorer

__all__ = ["DynamicsEnvironment", "Settings", "SurrogateScorer"]
