"""What campaigns come to: curves, areas, factors, and sets of what was found beside what is known."""

from campaigns.metrics.episode import Episode, Evaluation, Known
from campaigns.metrics.numbers import Spread, Undefined, Value, spread
from campaigns.metrics.summary import METRICS, Summary, summarise
from campaigns.metrics.written import write_summary

__all__ = [
    "METRICS",
    "Episode",
    "Evaluation",
    "Known",
    "Spread",
    "Summary",
    "Undefined",
    "Value",
    "spread",
    "summarise",
    "write_summary",
]
