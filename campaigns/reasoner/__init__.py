"""Reasoners: language models that plan, have simulations run, conclude, criticise themselves, and plan anew."""

from campaigns.reasoner.board import Board, LocalBoard, Shared
from campaigns.reasoner.crew import Ended, run_crew
from campaigns.reasoner.limits import Limits
from campaigns.reasoner.policy import ReasonerPolicy
from campaigns.reasoner.state import Entry, ReasonerState
from campaigns.reasoner.steps import Steps
from campaigns.reasoner.subject import Inputs, MoleculeSubject, NotACandidateError, Subject, ToolSubject

__all__ = [
    "Board",
    "Ended",
    "Entry",
    "Inputs",
    "Limits",
    "LocalBoard",
    "MoleculeSubject",
    "NotACandidateError",
    "ReasonerPolicy",
    "ReasonerState",
    "Shared",
    "Steps",
    "Subject",
    "ToolSubject",
    "run_crew",
]
