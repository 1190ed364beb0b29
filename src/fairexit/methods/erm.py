"""Empirical risk minimisation: cross-entropy at every exit, without a fairness term."""

from fairexit.methods.base import Method, methods


@methods.register("erm")
class ERM(Method):
    """Plain training: cross-entropy at every exit, without a fairness term."""
