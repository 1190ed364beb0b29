"""Empirical risk minimisation: cross-entropy at every exit, without a fairness term."""

from fairexit.methods.base import Method, methods
from fairexit.search_space import Axis


@methods.register("erm")
class ERM(Method, capturable=True):
    """Plain training: cross-entropy at every exit, without a fairness term.

    It has no options, so that a search tries the weight decay.
    """

    search_space = (Axis("train.weight_decay", (1e-5, 1e-2), log=True),)
