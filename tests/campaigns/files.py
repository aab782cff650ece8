"""Campaigns of toys, for tests."""

from __future__ import annotations

from typing import Any

from campaigns.campaign_file import CampaignFile

TOYS = "tests.campaigns.toys"


def workflow(**stages: Any) -> dict[str, Any]:
    return {
        "_target_": "campaigns.Workflow",
        "planner": {"_target_": f"{TOYS}.Everywhere"},
        "generator": {"_target_": f"{TOYS}.Numbers"},
        "filter": {"_target_": "campaigns.stages.UniqueFilter"},
        "scorer": {"_target_": "campaigns.stages.RandomSelector"},
        **stages,
    }


def campaign(**given: Any) -> CampaignFile:
    what = {
        "name": "toys",
        "modules": [TOYS],
        "budget": {"evaluations": 8},
        "environment": {"_target_": f"{TOYS}.Line"},
        **given,
    }
    if "policies" not in what:
        what.setdefault("policy", workflow())
    return CampaignFile.model_validate(what)
