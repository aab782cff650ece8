"""The doctor: what is wrong with an endpoint, and what to do about it, before a job waits in a queue to tell."""

from director.doctor.examination import Examination, Question, examine
from director.doctor.findings import Finding, State

__all__ = ["Examination", "Finding", "Question", "State", "examine"]
