"""Figures of campaigns. Matplotlib is loaded where one is drawn: import the modules of this package for that."""

from campaigns.plots.phases import Phase

__all__ = ["Phase"]
