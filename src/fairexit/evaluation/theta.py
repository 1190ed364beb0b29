"""Thresholds of early exit, and the exit that answers when none reaches them: checks and names."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairexit.errors import UserError, nearest, short

Fallback = Literal["final", "most_confident"]
Theta = float | Sequence[float | None]
"""One threshold for all internal exits, or one for each; None where no sample leaves."""

FALLBACKS = ("final", "most_confident")

ALWAYS = 1e-6
"""A theta that every largest probability reaches, at an exit where all samples leave."""


def check_thetas(thetas: ArrayLike, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """Thresholds, such as those of a grid, as an array of `dtype`.

    Raises:
        UserError: there is no value, or one is not in (0, 1].
    """
    values = np.asarray(thetas, np.float64)
    if not values.size:
        raise UserError("there is no threshold; give at least one, above 0 and at most 1")
    wrong = ~((values > 0) & (values <= 1))
    if wrong.any():
        raise UserError(
            f"threshold {values[wrong].flat[0]:g} is out of range; it must be above 0 and at most 1"
        )
    return values.astype(dtype)


def check_theta(theta: Theta, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """A policy's theta as an array of `dtype`, (), or with one value for each internal exit.

    Infinity takes the place of None.

    Raises:
        UserError: there is no value, or one is not in (0, 1].
    """
    if not isinstance(theta, Iterable):
        return check_thetas(theta, dtype)
    never = np.array([value is None for value in theta], bool)
    checked = check_thetas([1.0 if value is None else value for value in theta], dtype)
    return np.where(never, np.inf, checked).astype(dtype)


def exit_thetas(
    theta: Theta | None, num_exits: int, dtype: type[np.floating[Any]] = np.float32
) -> NDArray[Any]:
    """The threshold of each internal exit, infinity where no sample leaves.

    Args:
        theta: of a policy; None if every sample leaves at the final exit.
        num_exits: number of internal exits, E - 1.
        dtype: type of the result.
    Returns:
        (E - 1,).
    Raises:
        UserError: a value is not in (0, 1], or there is not one for each internal exit.
    """
    if theta is None:
        return np.full(num_exits, np.inf, dtype)
    thetas = check_theta(theta, dtype)
    if thetas.ndim and len(thetas) != num_exits:
        raise UserError(
            f"there are {len(thetas)} thresholds but {num_exits} internal exits; give one for each"
        )
    return np.broadcast_to(thetas, num_exits)


def theta_text(theta: Theta) -> str:
    """Theta as the option `threshold` takes it.

    >>> theta_text(0.85), theta_text((0.8, None))
    ('0.85', '0.8,none')
    """
    values = [theta] if isinstance(theta, float | int) else theta
    return ",".join("none" if value is None else f"{value:.12g}" for value in values)


def theta_name(theta: Theta | None) -> str:
    """A theta within a sentence.

    >>> theta_name(0.85), theta_name((0.8, None)), theta_name((None, ALWAYS)), theta_name(None)
    ('0.85', '(0.8, none)', '(none, always)', 'the final exit')
    """
    if theta is None:
        return "the final exit"
    if isinstance(theta, float | int):
        return f"{theta:g}"
    values = ["none" if t is None else "always" if t == ALWAYS else f"{t:g}" for t in theta]
    return f"({', '.join(values)})"


def exit_name(name: str) -> str:
    """The name of an exit in text; `f` is the final exit."""
    return "final exit" if name == "f" else f"exit {name}"


def check_fallback(fallback: str) -> None:
    """Raise a UserError if the name of the fallback is unknown."""
    if fallback not in FALLBACKS:
        raise UserError(f"there is no fallback '{short(fallback)}'; {nearest(fallback, FALLBACKS)}")
