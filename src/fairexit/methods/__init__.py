"""Fairness methods: the loss that each exit minimises."""

from fairexit.methods.base import Losses, Method, methods
from fairexit.methods.stages import Distilled, HeldOut, Refitted, Upweighted

__all__ = ["Distilled", "HeldOut", "Losses", "Method", "Refitted", "Upweighted", "methods"]
