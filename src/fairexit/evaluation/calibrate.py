"""Fit a temperature for each exit on validation (Guo et al. 2017)."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, option
from fairexit.evaluation.temperatures import ExitTemperature, Temperatures
from fairexit.predictions.data import Predictions
from fairexit.predictions.tempering import log_probabilities

LIMIT = 20.0
"""Temperatures are sought from 1 / LIMIT to LIMIT."""

NORMAL = 1.959963984540054
"""Half width of a 95 % interval in standard errors."""

Floats = NDArray[np.float64]


def fit_temperatures(validation: Predictions) -> Temperatures:
    """The temperature of each exit that minimises the mean negative log-likelihood.

    Every exit is fitted to all validation images, as if all left there, so that its temperature
    does not depend on theta. The intervals are those of an M-estimator whose scores are summed over
    clusters (Liang and Zeger 1986).

    Args:
        validation: N images with probabilities.
    Raises:
        UserError: only answers are known, or an exit answers (nearly) every image rightly or
            no better than by chance, so that no temperature is best.
    """
    if validation.probabilities is None:
        raise UserError(
            f"{option('calibrate')} needs class probabilities, but only answers are given"
        )
    clusters = cluster_index(validation.clusters)
    exits = []
    for e, name in enumerate(validation.exit_names):
        logs = log_probabilities(validation.probabilities[:, e])
        exits.append(_fit(logs, validation.labels, clusters, name))
    return Temperatures(len(validation), int(clusters.max()) + 1, tuple(exits))


def _fit(
    logs: Floats, labels: NDArray[np.int64], clusters: NDArray[np.int64], name: str
) -> ExitTemperature:
    """The temperature of one exit, from the logarithms of its probabilities (N, C)."""
    own = logs[np.arange(len(labels)), labels]

    def scores(log_beta: float) -> Floats:
        """Derivative of each image's loss by beta = 1 / T."""
        return (softmax(math.exp(log_beta) * logs, axis=1) * logs).sum(1) - own

    end = math.log(LIMIT)
    if not scores(-end).mean() < 0 < scores(end).mean():
        too_sure = scores(-end).mean() >= 0
        why = "no better than chance" if too_sure else "(nearly) every validation image rightly"
        raise UserError(
            f"exit '{name}' answers {why}, so that no temperature from {1 / LIMIT:g} to {LIMIT:g} "
            f"is best; leave out {option('calibrate')}"
        )
    log_beta = brentq(lambda x: scores(x).mean(), -end, end, xtol=1e-10)
    beta = math.exp(log_beta)
    share = softmax(beta * logs, axis=1)
    mean = (share * logs).sum(1)
    curvature = float(((share * logs**2).sum(1) - mean**2).sum())
    totals = np.bincount(clusters, mean - own)
    number = len(totals)
    variance = float((totals**2).sum()) * number / max(number - 1, 1)
    half = NORMAL * math.sqrt(variance) / curvature / beta
    before, after = (float((logsumexp(b * logs, axis=1) - b * own).mean()) for b in (1.0, beta))
    value = 1 / beta
    return ExitTemperature(
        name, value, value * math.exp(-half), value * math.exp(half), before, after
    )
