"""Early exit: each image's prediction comes from the first exit that is confident enough."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import Fallback, Theta, check_fallback, exit_thetas
from fairexit.models.exitnet import unwrap, widen
from fairexit.predictions.confidence import MAX_PROBABILITY, check_confidence_measure
from fairexit.predictions.tempering import temper


class EarlyExit(NamedTuple):
    """The answers for a batch.

    Attributes:
        probabilities: class probabilities at the exit that answers, (B, C).
        exit: index of that exit, from 0, the final one last, (B,).
        confidence: its confidence, by default its largest class probability, (B,).
    """

    probabilities: Tensor
    exit: Tensor
    confidence: Tensor

    def arrays(self) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64], NDArray[Any]]:
        """The same in NumPy arrays."""
        probabilities, exit, confidence = (values.cpu().numpy() for values in self)
        return probabilities, exit, confidence


@torch.no_grad()
def early_exit(
    net: nn.Module,
    x: Tensor,
    threshold: Theta | None,
    fallback: Fallback = "final",
    *,
    confidence_measure: str = MAX_PROBABILITY,
    temperatures: Sequence[float] = (),
    on_exit: Callable[[int, Tensor, Tensor], None] | None = None,
) -> EarlyExit:
    """Answer each sample at the earliest exit whose confidence is at least the threshold.

    Samples that have an answer are removed from the batch, so that later stages compute only the
    others. The answers are the same as if all exits were computed and chosen from afterwards.

    Args:
        net: the network in evaluation mode, or a wrapper of it such as DataParallel or
            torch.compile, whose network then computes without the wrapper.
        x: images, (B, 3, H, W).
        threshold: theta in (0, 1], or one for each internal exit, None where no sample leaves;
            None alone: all samples are answered at the final exit, whatever the fallback.
        fallback: which exit answers when none reaches the threshold: `final`, or `most_confident`
            (the rule of the released scripts; of equally confident exits the earliest).
        confidence_measure: what is compared with the threshold: `max_probability`, `margin` or
            `entropy`, see `fairexit.predictions.confidence`.
        temperatures: one for each exit, by which its logits are divided; empty for none.
        on_exit: is called at each exit that is computed, with its index, the rows of the samples
            still in, and their class probabilities.
    Returns:
        One row per sample, in the order of `x`.
    Raises:
        UserError: the threshold, fallback, measure or temperatures are not valid, the network is in
            training mode or no multi-exit network, or it cannot take images of this size.
    """
    net = unwrap(net)
    if net.training:
        raise UserError("early exit needs the network in evaluation mode; call net.eval() first")
    check_fallback(fallback)
    thresholds = exit_thetas(threshold, net.num_exits - 1, np.float64).tolist()
    answer = _Answer(confidence_measure, temperatures)
    if temperatures and len(temperatures) != net.num_exits:
        raise UserError(
            f"there are {len(temperatures)} temperatures for a network with {net.num_exits} exits"
        )
    net.check_size(*x.shape[-2:])
    x = net.backbone.normalise(x)

    rows = torch.arange(len(x), device=x.device)
    answered: list[tuple[Tensor, EarlyExit]] = []
    best: EarlyExit | None = None
    number = 0
    for position, stage in enumerate(net.backbone.stages):
        x = stage(x)
        exit = net.internal_exit(position, x)
        if exit is None:
            continue
        current = answer(exit.logits, number)
        if on_exit is not None:
            on_exit(number, rows, current.probabilities)
        leaves = current.confidence >= thresholds[number]
        number += 1
        if fallback == "most_confident" and threshold is not None:
            best = _more_confident(best, current)
        if not leaves.any():
            continue
        answered.append((rows[leaves], _pick(current, leaves)))
        remaining = (~leaves).nonzero().squeeze(1)
        if len(remaining) == 0:
            return _in_order(answered)
        x, rows = x[remaining], rows[remaining]
        best = best and _pick(best, remaining)
    final = answer(net.backbone.head(x).logits, number)
    if on_exit is not None:
        on_exit(number, rows, final.probabilities)
    answered.append((rows, _more_confident(best, final)))
    return _in_order(answered)


def answer_early(
    net: nn.Module,
    x: Tensor,
    policy: Policy,
    on_exit: Callable[[int, Tensor, Tensor], None] | None = None,
) -> EarlyExit:
    """Answer each sample by a policy; arguments, result and errors as for `early_exit`."""
    return early_exit(
        net,
        x,
        policy.theta,
        policy.fallback,
        confidence_measure=policy.confidence_measure,
        temperatures=policy.temperature_values,
        on_exit=on_exit,
    )


class _Answer:
    """Answers all samples of a batch at one exit.

    Args:
        confidence_measure: its name.
        temperatures: one for each exit; empty for none.
    """

    def __init__(self, confidence_measure: str, temperatures: Sequence[float]) -> None:
        self.measure = check_confidence_measure(confidence_measure).function
        self.temperatures = temperatures

    def __call__(self, logits: Tensor, number: int) -> EarlyExit:
        """The answers from logits (B, C) at the exit of index `number`."""
        probabilities = widen(logits).softmax(1)
        # The functions that treat stored predictions, so that both leave at the same exit.
        array = probabilities.cpu().numpy()
        if self.temperatures:
            array = temper(array, self.temperatures[number])
            probabilities = torch.from_numpy(array).to(logits.device)
        exits = torch.full((len(logits),), number, device=logits.device)
        confidence = torch.from_numpy(self.measure(array)).to(logits.device)
        return EarlyExit(probabilities, exits, confidence)


def _more_confident(earlier: EarlyExit | None, later: EarlyExit) -> EarlyExit:
    """For each sample the more confident of two answers, the earlier one if they are equal."""
    if earlier is None:
        return later
    gains = later.confidence > earlier.confidence
    return EarlyExit(
        torch.where(gains[:, None], later.probabilities, earlier.probabilities),
        torch.where(gains, later.exit, earlier.exit),
        torch.where(gains, later.confidence, earlier.confidence),
    )


def _pick(answers: EarlyExit, rows: Tensor) -> EarlyExit:
    """The answers of some samples, by index or mask."""
    return EarlyExit(*(values[rows] for values in answers))


def _in_order(answered: list[tuple[Tensor, EarlyExit]]) -> EarlyExit:
    """All answers, in the order in which the samples came."""
    if len(answered) == 1:
        return answered[0][1]
    order = torch.cat([rows for rows, _ in answered]).argsort()
    columns = zip(*(answers for _, answers in answered), strict=True)
    return EarlyExit(*(torch.cat(column)[order] for column in columns))
