"""Spaces whose candidates can all be listed: a list of molecules, a grid of settings."""

from campaigns.finite.space import SpaceGenerator, SpacePlanner

__all__ = ["SpaceGenerator", "SpacePlanner"]
