"""Networks that answer one class nearly always: their gaps are small for the wrong reason."""

import numpy as np

from fairexit.metrics.counts import Counts, Margins, margins
from fairexit.metrics.rates import Values

COLLAPSED = 0.99
"""A network has collapsed if one class has at least this share of its answers."""
MARK = "one class answers"
"""How tables mark a network that has collapsed."""


def main_answer_share(counts: Counts | Margins) -> Values:
    """The largest share of the answers that one class has, (...); 0 without any sample.

    Args:
        counts: (..., M, C, C), or their margins.

    >>> float(main_answer_share(np.array([[[3, 1], [0, 0]]])))
    0.75
    """
    answers = margins(counts).predicted.sum(-2)
    return answers.max(-1) / np.maximum(answers.sum(-1), 1)
