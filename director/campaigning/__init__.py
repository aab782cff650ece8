"""Campaigns on Directors: their simulations are run by a Fleet."""

from director.campaigning.fleet_evaluate import FleetEvaluate

__all__ = ["FleetEvaluate"]
