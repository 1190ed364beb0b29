"""Empirical risk minimisation: cross-entropy at every exit, and nothing for fairness."""

from fairexit.methods.base import Method, methods


@methods.register("erm")
class ERM(Method):
    """Plain training. With exits it is the multi-exit network without a fairness term."""
