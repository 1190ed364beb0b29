"""Fairness methods: the loss that each exit minimises."""

from fairexit.methods.base import Distilled, Losses, Method, methods

__all__ = ["Distilled", "Losses", "Method", "methods"]
