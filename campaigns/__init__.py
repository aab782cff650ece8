"""Campaigns: policies that choose what to simulate next. Knows `simulations`, and nothing of Directors."""

from campaigns.components import Filter, FilterResult, Generator, Plan, Planner, Scorer, ScoreResult
from campaigns.environment import Environment, Observation, View
from campaigns.evaluate import Evaluate
from campaigns.policy import Choice, Policy, Proposal

__all__ = [
    "Choice",
    "Environment",
    "Evaluate",
    "Filter",
    "FilterResult",
    "Generator",
    "Observation",
    "Plan",
    "Planner",
    "Policy",
    "Proposal",
    "ScoreResult",
    "Scorer",
    "View",
]
