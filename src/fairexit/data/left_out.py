"""The samples that a preparation leaves out, and whether that changes the mix of the classes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NO_LABEL = "no label"
DRAWS = 9999
LEVEL = 0.01
"""A class mix of left-out samples with a p-value below this is reported."""


@dataclass
class LeftOut:
    """Samples that are left out: id, reason, and class (missing if it is not known)."""

    rows: list[tuple[str, str, Any]] = field(default_factory=list)

    def drop(
        self, frame: pd.DataFrame, mask: NDArray[np.bool_], reasons: "str | pd.Series[str]"
    ) -> pd.DataFrame:
        """Record the rows in the mask as left out; return the other rows.

        Args:
            frame: the table.
            mask: the rows to leave out, (N,).
            reasons: one reason for all, or one for each row of the table.
        """
        dropped = frame[mask]
        causes = [reasons] * len(dropped) if isinstance(reasons, str) else reasons[mask]
        self.rows += zip(dropped["id"].astype(str), causes, dropped["label"], strict=True)
        return frame[~mask]

    def counts(self) -> dict[str, int]:
        """Number of samples for each reason, without the details that follow a colon."""
        reasons = pd.Series([_brief(reason) for _, reason, _ in self.rows], dtype=object)
        return {str(k): int(v) for k, v in reasons.value_counts(sort=False).items()}

    def table(self) -> pd.DataFrame:
        """The samples as a table of `id` and `reason`."""
        rows = [(id, reason) for id, reason, _ in self.rows]
        return pd.DataFrame(rows, columns=["id", "reason"])

    def by_class(self) -> dict[str, dict[str, int]]:
        """Reason -> class -> number of samples whose class is known."""
        counts: dict[str, dict[str, int]] = {}
        for _, reason, label in self.rows:
            if not pd.isna(label):
                classes = counts.setdefault(_brief(reason), {})
                classes[str(label)] = classes.get(str(label), 0) + 1
        return {reason: dict(sorted(classes.items())) for reason, classes in counts.items()}

    def __str__(self) -> str:
        counts = self.counts().items()
        return ", ".join(f"{count} {reason}" for reason, count in counts) or "nothing"


def mix_warnings(left_out: dict[str, dict[str, int]], kept: dict[str, int]) -> list[str]:
    """Reasons for which samples of some classes are left out more often than of others.

    The samples that are left out for a reason are compared with all others, whether kept or left
    out for another reason; a reason is reported if `mix_p_value` is below 0.01.

    Args:
        left_out: reason -> class -> number of samples.
        kept: class -> number of samples that are prepared.
    """
    lines = []
    parts = [*left_out.values(), kept]
    names = sorted(set().union(*parts))
    total = np.array([sum(part.get(name, 0) for part in parts) for name in names])
    for reason, classes in left_out.items():
        out = np.array([classes.get(name, 0) for name in names])
        p = mix_p_value(out, total - out)
        if p >= LEVEL:
            continue
        shares = out / total
        order = np.argsort(-shares, kind="stable")
        shown = [*order[:3], order[-1]] if len(names) > 3 else order
        text = ", ".join(f"{100 * shares[i]:.0f} % of {names[i]}" for i in shown)
        chance = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
        lines.append(
            f"{out.sum()} rows were left out ({reason}), and not evenly over the classes "
            f"({chance}): {text}; what is measured is not the whole"
        )
    return lines


def mix_p_value(out: NDArray[np.int64], stay: NDArray[np.int64]) -> float:
    """Permutation test of whether two sets of samples have the same mix of classes.

    The statistic is Pearson's chi-square of the 2 x C table. Its null distribution is drawn with
    the margins of the table fixed (seed 0), so that the test is valid for small counts.

    Args:
        out: number of left-out samples of each class, (C,).
        stay: number of the other samples of each class, (C,).
    Returns:
        The p-value, at least 1 / 10,000; 1 if there is nothing to compare.
    """
    total = out + stay
    out, stay, total = out[total > 0], stay[total > 0], total[total > 0]
    if len(total) < 2 or not out.sum() or not stay.sum():
        return 1.0
    from scipy.stats import random_table

    expected = total * out.sum() / total.sum()
    tables = random_table([out.sum(), stay.sum()], total).rvs(
        DRAWS, method="patefield", random_state=np.random.default_rng(0)
    )
    # With fixed margins the second row adds the same share of the statistic in every table.
    drawn = ((tables[:, 0] - expected) ** 2 / expected).sum(1)
    observed = ((out - expected) ** 2 / expected).sum()
    return float((1 + (drawn >= observed * (1 - 1e-12)).sum()) / (1 + DRAWS))


def _brief(reason: str) -> str:
    return reason.split(":")[0]
