"""Models that guess the score of a candidate from those that were evaluated, for candidates of any type."""

from campaigns.surrogate.acquisition import ACQUISITIONS, acquire
from campaigns.surrogate.models import Guess, make_model
from campaigns.surrogate.scorer import Surrogate

__all__ = ["ACQUISITIONS", "Guess", "Surrogate", "acquire", "make_model"]
