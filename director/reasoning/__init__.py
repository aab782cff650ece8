"""Reasoners whose simulations run on Directors."""
