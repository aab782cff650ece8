"""Stages for candidates of any type."""

from campaigns.stages.chain import ScorerChain
from campaigns.stages.filters import FilterChain, NoOpFilter, UniqueFilter
from campaigns.stages.selecting import RandomSelector

__all__ = ["FilterChain", "NoOpFilter", "RandomSelector", "ScorerChain", "UniqueFilter"]
