"""The positive classes of an audit, and the answer to who is worse off in them."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.gap_results import (
    ASSUMED,
    LARGEST,
    MORE_THAN_CHANCE,
    NAMED,
    TOO_FEW,
    ClassGap,
    Headline,
)

POSITIVE_NAMES = {
    "1", "true", "yes", "y", "positive", "pos", "malignant", "cancer", "carcinoma", "melanoma",
    "mel", "disease", "diseased", "abnormal", "case", "ill", "sick",
}  # fmt: skip
"""Names of classes that are positive unless another one is named."""


def positive_classes(
    named: Sequence[str], classes: Sequence[str], labels: NDArray[np.integer]
) -> tuple[tuple[str, ...], bool]:
    """The positive classes.

    Of two classes one is positive even if none is named: the only one that has a name such as
    "malignant" or "1", otherwise the rarer one. The answers of the model play no part, so that the
    choice does not favour any result.

    Args:
        named: the classes that the user names.
        classes: all classes.
        labels: class of each sample, (N,).
    Returns:
        The positive classes, and whether the user did not name them.
    """
    if named or len(classes) != 2:
        return tuple(dict.fromkeys(named)), False
    known = [name for name in classes if name.strip().lower() in POSITIVE_NAMES]
    if len(known) == 1:
        return (known[0],), True
    counts = np.bincount(labels, minlength=2)
    return (classes[0 if counts[0] < counts[1] else 1],), True


def headlines(
    gaps: Sequence[ClassGap], positives: Sequence[str], assumed: bool
) -> tuple[Headline, ...]:
    """The answer for each positive class, or for the class with the largest gap.

    Args:
        gaps: the gaps class by class.
        positives: the positive classes.
        assumed: whether the user did not name them.
    """
    if positives:
        chosen = ASSUMED if assumed else NAMED
        by_name = {gap.name: gap for gap in gaps if gap.rate == "tpr"}
        return tuple(_headline(by_name[p], chosen) for p in positives if p in by_name)
    tested = [gap for gap in gaps if gap.verdict != TOO_FEW]
    if not tested:
        return ()

    def size(gap: ClassGap) -> tuple[bool, float]:
        return gap.verdict == MORE_THAN_CHANCE, gap.estimate.value

    return (_headline(max(tested, key=size), LARGEST),)


def _headline(gap: ClassGap, chosen: str) -> Headline:
    measured = [group for group, rate in gap.rates.items() if not math.isnan(rate.value)]
    compared = [group for group in measured if group not in gap.too_small]
    shown = sorted(
        compared if len(compared) > 1 else measured, key=lambda group: gap.rates[group].value
    )
    if gap.rate == "fpr":
        shown.reverse()
    return Headline(
        gap.name,
        gap.rate,
        chosen,
        worst=shown[0] if shown else "",
        best=shown[-1] if shown else "",
        rates=gap.rates,
        compared=len(compared),
        left_out=gap.too_small if len(compared) > 1 else (),
        p_adjusted=gap.p_adjusted,
        tests=gap.tests,
        verdict=gap.verdict,
    )
