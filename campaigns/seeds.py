"""Seeds: one for each component, derived from the campaign's, so that no two share their random numbers."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_of(campaign_seed: int, system: str, episode: int, place: str) -> int:
    """The seed of one component. Pure.

    The policy's name is not part of it: policies that are compared begin from the same random numbers, so their
    difference shows earlier, and another name changes nothing.

    Args:
        campaign_seed: The campaign's seed.
        system: Name of the system.
        episode: Number of the episode, from 1.
        place: Where the component stands, such as ``policy.planner``.

    Returns:
        A whole number from 0 to 2³² - 1: as much as every library takes.
    """
    digest = hashlib.sha256("\0".join((system, str(episode), place)).encode()).digest()
    words = np.frombuffer(digest, dtype=">u4").tolist()
    return int(np.random.SeedSequence([campaign_seed, *words]).generate_state(1, np.uint32)[0])
