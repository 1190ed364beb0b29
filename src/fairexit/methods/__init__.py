"""Fairness methods: what each exit is asked to minimise."""

from fairexit.methods.base import Losses, Method, methods

__all__ = ["Losses", "Method", "methods"]
