"""The path of a pruning: its steps, how each is made and measured, and the choice of a step."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.metrics.collapse import COLLAPSED
from fairexit.metrics.record import METRICS
from fairexit.pruning.trace import DECIDING_GAP, Measured, Step, Trace
from fairexit.pruning.units import sizes
from fairexit.pruning.weights import PathWeights

ScoreFunction = Callable[[int, float | None], dict[str, Tensor]]
"""(number of the step, beta) -> block name -> scores of its units, of the block's shape."""


def walk(
    weights: PathWeights,
    config: PruneConfig,
    *,
    score: ScoreFunction,
    within: bool,
    train: Callable[[int, int, Tensor], None],
    measure: Callable[[], Measured],
    trace: Trace,
    store: Callable[[Trace], None],
) -> None:
    """Edit step by step, along one trail for each beta, and measure each step.

    A step scores the units, edits those with the lowest scores, trains the network while what is
    edited is held, and measures it.

    Args:
        weights: the network, which is edited in place, and its units.
        config: the settings of the pruning.
        score: the scores of the units.
        within: whether units are ranked within their block, or all together.
        train: trains the network after a step, given its trail, its number and `Trace.edited`.
        measure: measures the network on validation.
        trace: the steps so far; continued in place.
        store: stores the trace; called after each step.
    """
    total = sum(sizes(weights.units))
    for trail, beta in enumerate(config.betas):
        edited = trace.edited.setdefault(trail, torch.zeros(total, dtype=torch.uint8))
        done = [step for step in trace.steps if step.trail == trail and step.number > 0]
        weights.restore(trail, len(done), edited)
        for number, fraction in list(enumerate(fractions(config), 1))[len(done) :]:
            if trace.ended and not config.sweeps:
                return
            mark(edited, score(number, beta), fraction, number=number, within=within)
            weights.apply(edited)
            train(trail, number, edited)
            share = int((edited > 0).sum()) / total
            step = Step(trail=trail, number=number, beta=beta, fraction=share, measured=measure())
            trace.steps.append(step)
            trace.ended = "" if config.sweeps else ending(trace.steps, config)
            weights.store(step)
            store(trace)
            weights.tidy(trace, choose(trace.steps, config)[0])


def fractions(config: PruneConfig) -> list[float]:
    """The share of edited units at each step: equal steps to the ratio, or those of a sweep."""
    if config.sweeps:
        return [ratio for ratio in config.ratios if ratio > 0]
    (ratio,), steps = config.ratios, config.number_of_steps
    return [ratio * i / steps for i in range(1, steps + 1)] if ratio > 0 else []


def mark(
    edited: Tensor, scores: dict[str, Tensor], fraction: float, *, number: int, within: bool
) -> None:
    """Mark the units with the lowest scores as edited, until a share of them is edited.

    Args:
        edited: number of the step at which each unit was edited, 0 where it was not, (P,) uint8;
            changed in place. Units that are already edited are not ranked.
        scores: block name -> scores, in the order of `edited`.
        fraction: share of the units that is edited afterwards.
        number: number of this step.
        within: whether this share is that of each block, or that of all blocks together.
    Raises:
        UserError: a score is not finite.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    if not flat.isfinite().all():
        raise UserError(
            "the saliency is not finite, so the network's weights or loss are not finite either"
        )
    flat[edited > 0] = torch.inf
    parts = [score.numel() for score in scores.values()] if within else [len(flat)]
    for ranked, part in zip(flat.split(parts), edited.split(parts), strict=True):
        missing = round(fraction * len(ranked)) - int((part > 0).sum())
        part[torch.sort(ranked, stable=True).indices[: max(missing, 0)]] = number


def ending(steps: list[Step], config: PruneConfig) -> str:
    """Why a trail ends at its last step; empty if it does not end there."""
    last, start = steps[-1], steps[0]
    if config.stop and config.patience is not None:
        if last.f1 < start.f1 - config.tolerance:
            return f"F1 fell by more than {config.tolerance:g}"
        best = int(np.argmin([step.gap for step in steps]))
        if len(steps) - 1 - best >= config.patience:
            return f"{METRICS[DECIDING_GAP].label} has not fallen for {config.patience} step(s)"
    return "the ratio is reached" if last.number == config.steps else ""


def choose(steps: list[Step], config: PruneConfig) -> tuple[int, str]:
    """Choose a step.

    It is the step with the lowest gap on validation of all whose F1 is at most the tolerance below
    the unpruned network's, and of equal ones the earliest. A step at which one class has 99 % or
    more of the answers is not chosen. If `config.stop` is false, it is the last step. Later steps
    never make an earlier one the choice that was not the choice before them.

    Returns:
        Index into the steps, and the reason for the choice.
    """
    if not config.stop:
        return len(steps) - 1, "the last step, as prune.stop is false"
    least_f1 = steps[0].f1 - config.tolerance
    allowed = [
        i
        for i, step in enumerate(steps)
        if i == 0 or (step.f1 >= least_f1 and step.measured.main_answer_share < COLLAPSED)
    ]
    best, label = min(allowed, key=lambda i: steps[i].gap), METRICS[DECIDING_GAP].label
    if best == 0:
        reason = f"nothing is pruned: no step has a lower {label} on validation"
    else:
        reason = f"the lowest {label} on validation"
    return best, f"{reason} with F1 at most {config.tolerance:g} below the unpruned network's"
