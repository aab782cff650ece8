"""Campaigns: policies that choose what to simulate next. Knows `simulations`, and nothing of Directors."""

from campaigns.components import Exhausted, Filter, FilterResult, Generator, Plan, Planner, Scorer, ScoreResult
from campaigns.environment import Environment, Observation, View
from campaigns.errors import Fault, NotAcceptable
from campaigns.evaluate import Evaluate
from campaigns.policy import Choice, Policy, Proposal
from campaigns.stateful import Stateful, Stateless
from campaigns.workflow import OneShotWorkflowAgent, Workflow

__all__ = [
    "Choice",
    "Environment",
    "Evaluate",
    "Exhausted",
    "Fault",
    "Filter",
    "FilterResult",
    "Generator",
    "NotAcceptable",
    "Observation",
    "OneShotWorkflowAgent",
    "Plan",
    "Planner",
    "Policy",
    "Proposal",
    "ScoreResult",
    "Scorer",
    "Stateful",
    "Stateless",
    "View",
    "Workflow",
]
