"""The rule "risk": the cheapest threshold about which validation can promise something."""

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, nearest, option, short
from fairexit.evaluation.certificate import BOUNDS, LOSSES, Certificate, Promise
from fairexit.predictions.data import Predictions
from fairexit.stats.risk_control import (
    binomial_p,
    conformal_bound,
    fewest_units,
    hoeffding_bentkus_p,
    most_bad,
    passed,
    smallest_epsilon,
)

RISK = "risk"
"""Name of the rule."""

GRID = (0.999, 0.995, *np.round(np.arange(0.99, 0.395, -0.01), 2).tolist())
"""The thresholds that the rule tries by default, the safest first."""

HOEFFDING_BENTKUS_STEPS = 40
"""Halvings of the interval in which the smallest epsilon of a Hoeffding-Bentkus bound lies."""


@dataclass(frozen=True)
class Risk:
    """The promise that a threshold must keep.

    An image is bad if early exit makes its answer worse: for the loss "error", if it is wrong where
    the final exit's answer is right; for "disagreement", if it differs from that of the final exit.
    Where every image is a cluster of its own, the share bounds the loss of accuracy: it counts what
    early exit spoils and not what it mends.

    Attributes:
        loss: "error" or "disagreement".
        epsilon: the largest share of bad clusters, in (0, 1).
        delta: the probability with which the promise may be broken, in (0, 1).
        bound: "binomial", exact for the share of clusters (lesions, patients) in which an image is
            bad; "hoeffding-bentkus", for the mean over clusters of the share of their images that
            are bad; or "conformal", the expectation of that mean, which needs the fewest images and
            promises the least.
        every_group: whether the promise is made for every group, or for all images together.
    Raises:
        UserError: a value is unknown or out of range.
    """

    loss: str = "error"
    epsilon: float = 0.01
    delta: float = 0.05
    bound: str = "binomial"
    every_group: bool = True

    def __post_init__(self) -> None:
        for name, value, known in (("loss", self.loss, LOSSES), ("bound", self.bound, BOUNDS)):
            if value not in known:
                raise UserError(f"{option(name)} is '{short(str(value))}'; {nearest(value, known)}")
        for name in ("epsilon", "delta"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(
                    f"{option(name)} is {getattr(self, name)}; it must be between 0 and 1, such as "
                    "0.01"
                )

    def bad(
        self, answers: NDArray[np.int64], final: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which images are bad, (..., N).

        Args:
            answers: classes that early exit answers, (..., N).
            final: classes that the final exit answers, (N,).
            labels: true classes, (N,).
        """
        differs = answers != final
        return differs & (final == labels) if self.loss == "error" else differs

    def p_values(self, losses: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """The p-value of "the risk is above epsilon" for sums of losses of n clusters, (...).

        For "conformal" it is delta where the bound keeps epsilon, and 1 elsewhere.
        """
        if self.bound == "binomial":
            return binomial_p(losses, n, self.epsilon)
        if self.bound == "hoeffding-bentkus":
            return hoeffding_bentkus_p(losses / max(n, 1), n, self.epsilon)
        return np.where(self.largest_risk(losses, n) <= self.epsilon, self.delta, 1.0)

    def largest_risk(self, losses: NDArray[np.float64] | float, n: int) -> NDArray[np.float64]:
        """The smallest epsilon that sums of losses of n clusters could promise, (...)."""
        sums = np.asarray(losses, np.float64)
        if self.bound == "conformal":
            return conformal_bound(sums / max(n, 1), n)
        if self.bound == "binomial":
            return np.vectorize(lambda k: smallest_epsilon(int(k), n, self.delta))(sums)
        low, high = sums / max(n, 1), np.ones_like(sums)
        for _ in range(HOEFFDING_BENTKUS_STEPS):
            middle = (low + high) / 2
            kept = np.vectorize(hoeffding_bentkus_p)(sums / max(n, 1), n, middle) <= self.delta
            low, high = np.where(kept, low, middle), np.where(kept, middle, high)
        return np.asarray(high)


@dataclass(frozen=True, eq=False)
class Tested:
    """What the tests of K thresholds say.

    Attributes:
        chosen: index of the cheapest threshold that keeps the promise; None if none does.
        draws: index of the threshold that the same rule chooses in each of B resamples of whole
            clusters, -1 for none, (B,).
        promises: at the chosen threshold, or at the safest one if none is chosen.
        reason: why, as a clause.
    """

    chosen: int | None
    draws: NDArray[np.int64]
    promises: tuple[Promise, ...]
    reason: str


def try_thresholds(
    risk: Risk,
    samples: Predictions,
    group: str,
    answers: NDArray[np.int64],
    *,
    resamples: int,
) -> Tested:
    """Test thresholds from the safest on, in every group at once, and choose the last that passes.

    A threshold passes if it passes in every group: the largest p-value of the groups is valid for
    "the risk is above epsilon in some group", so that delta is not divided among the groups. A
    cluster whose images belong to several groups counts in each, with its images of that group.

    Args:
        risk: the promise.
        samples: N images of known group.
        group: name of the sensitive attribute.
        answers: classes that are answered at K thresholds, the safest first, (K, N).
        resamples: number B of resamples.
    """
    final = samples.answers[:, -1]
    bad = risk.bad(answers, final, samples.labels)
    names: Sequence[str] = samples.group_names[group] if risk.every_group else ("",)
    members = samples.attributes[group] if risk.every_group else np.zeros(len(samples), np.int64)
    clusters = cluster_index(samples.clusters)
    p: list[NDArray[np.float64]] = []
    drawn: list[NDArray[np.float64]] = []
    sums: list[tuple[NDArray[np.float64], int, int]] = []
    rng = np.random.default_rng(0)
    for g in range(len(names)):
        rows = members == g
        units = _unit_losses(bad[:, rows], clusters[rows], risk.bound)
        n = units.shape[1]
        sums.append((units.sum(1), n, int(rows.sum())))
        p.append(risk.p_values(units.sum(1), n))
        weights = rng.multinomial(n, np.full(n, 1 / max(n, 1)), resamples)
        drawn.append(risk.p_values(weights @ units.T, n))
    count = passed(np.max(p, 0), risk.delta)
    draws = np.array([passed(row, risk.delta) for row in np.max(drawn, 0)]) - 1
    at = max(count - 1, 0)
    promises = tuple(
        Promise(name, images, n, float(total[at]), float(risk.largest_risk(total[at], n)))
        for name, (total, n, images) in zip(names, sums, strict=True)
    )
    return Tested(count - 1 if count else None, draws, promises, _reason(risk, promises, count))


def certificate(
    risk: Risk, samples: Predictions, group: str, tested: Tested, *, number: int
) -> Certificate:
    """The certificate of a chosen threshold, of a number that were tested."""
    return Certificate(
        loss=risk.loss,
        epsilon=risk.epsilon,
        delta=risk.delta,
        method=risk.bound,
        attribute=group if risk.every_group else None,
        promises=tested.promises,
        tested=number,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        data=checksum(samples, group),
    )


def checksum(samples: Predictions, group: str) -> str:
    """SHA-256 of the images' ids, labels, groups and answers at every exit, in their order."""
    digest = hashlib.sha256("\0".join(map(str, samples.ids)).encode())
    for values in (samples.labels, samples.attributes[group], samples.answers):
        digest.update(np.ascontiguousarray(values, np.int64).tobytes())
    return digest.hexdigest()


def _unit_losses(
    bad: NDArray[np.bool_], clusters: NDArray[np.int64], bound: str
) -> NDArray[np.float64]:
    """The loss of every cluster, (K, U), of images (K, N) that are bad or not."""
    _, unit, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(unit, row, minlength=len(sizes)) for row in bad])
    if bound == "binomial":
        return (sums > 0).astype(np.float64)
    # The conformal bound needs a loss that does not fall from one threshold to the next.
    return np.maximum.accumulate(sums / sizes) if bound == "conformal" else sums / sizes


def _reason(risk: Risk, promises: Sequence[Promise], count: int) -> str:
    """Why a threshold is chosen, or none, as a clause."""
    where = f"in every group of {len(promises)}" if risk.every_group else "of all images together"
    what = "the share of bad clusters"
    if risk.bound != "binomial":
        what = "the mean share of a cluster's images that are bad"
    kept = f"{what} {where} is at most {risk.epsilon:g}"
    if count:
        return f"it is the cheapest threshold for which {kept}"
    worst = max(promises, key=lambda p: p.bound)
    name = f"'{worst.name}'" if worst.name else "all images"
    text = (
        f"no threshold is promised that {kept}: at the safest one {worst.bad:g} of the "
        f"{worst.units:,} clusters of {name} are bad, which promises {worst.bound:.2g}"
    )
    if risk.bound == "binomial":
        most = most_bad(worst.units, risk.epsilon, risk.delta)
        if most >= 0:
            return f"{text}, and at most {most} might be"
        needed = fewest_units(risk.epsilon, risk.delta)
        return f"{text}, and fewer than {needed:,} clusters can never promise {risk.epsilon:g}"
    return text
