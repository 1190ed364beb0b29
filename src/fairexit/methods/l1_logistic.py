"""Multinomial logistic regression with an L1 penalty."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

Array = NDArray[np.float64]


class Layer(NamedTuple):
    """A linear layer: weights (C, D) and biases (C,)."""

    weight: Array
    bias: Array


def fit_l1_logistic(
    x: Array,
    labels: NDArray[np.int64],
    num_classes: int,
    *,
    strength: float,
    start: Layer | None = None,
    tolerance: float = 1e-8,
) -> Layer:
    """Minimise C sum_i cross-entropy_i + sum |weights|; the biases are not penalised.

    This is the objective of scikit-learn. The weights are the difference of two parts that are not
    negative, so that L-BFGS-B with bounds applies, and most weights become exactly zero.

    Args:
        x: features, (N, D).
        labels: class indices, (N,).
        num_classes: number of classes K.
        strength: C.
        start: the layer from which the search starts; zeros by default. It affects only speed.
        tolerance: relative gain of a step below which the search ends.
    Returns:
        The layer, whose biases sum to zero.
    """
    n, d = x.shape
    size = num_classes * d
    rows = np.arange(n)
    # The mean loss, not the sum: the tolerances then mean the same for any N.
    penalty = 1 / (strength * n)

    def objective(flat: Array) -> tuple[float, Array]:
        weight = (flat[:size] - flat[size : 2 * size]).reshape(num_classes, d)
        logits = x @ weight.T + flat[2 * size :]
        logs = logits - logsumexp(logits, axis=1, keepdims=True)
        error = np.exp(logs)
        error[rows, labels] -= 1
        slope = (error.T @ x / n).ravel()
        value = -logs[rows, labels].mean() + penalty * flat[: 2 * size].sum()
        return value, np.concatenate([slope + penalty, penalty - slope, error.mean(0)])

    initial = np.zeros(2 * size + num_classes)
    if start is not None:
        flat_start = start.weight.ravel()
        initial[:] = np.concatenate([flat_start.clip(min=0), (-flat_start).clip(min=0), start.bias])
    bounds = np.zeros((len(initial), 2))
    bounds[:, 1] = np.inf
    bounds[2 * size :, 0] = -np.inf
    solution = minimize(
        objective,
        initial,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 2000, "maxfun": 4000, "ftol": tolerance, "gtol": 1e-5},
    ).x
    weight = (solution[:size] - solution[size : 2 * size]).reshape(num_classes, d)
    bias = solution[2 * size :]
    return Layer(weight, bias - bias.mean())
