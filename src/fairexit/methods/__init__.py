"""Fairness methods: what each exit is asked to minimise."""

from fairexit.methods.base import Distilled, Losses, Method, methods

__all__ = ["Distilled", "Losses", "Method", "methods"]
