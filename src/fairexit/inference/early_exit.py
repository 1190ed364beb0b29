"""Prediction that stops at the first confident exit."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fairexit.errors import UserError
from fairexit.evaluation.policy import Fallback, Theta, check_fallback, check_theta
from fairexit.models.exitnet import ExitNet, widen


class EarlyExit(NamedTuple):
    """The answer for each sample.

    Class probabilities (B, C), index of the exit it comes from (B,), from 0, the final one last,
    and the confidence there (B,), the largest probability.
    """

    probabilities: Tensor
    exit: Tensor
    confidence: Tensor


@torch.no_grad()
def early_exit(
    net: ExitNet,
    x: Tensor,
    threshold: Theta | None,
    fallback: Fallback = "final",
) -> EarlyExit:
    """Each sample takes the earliest exit whose confidence is at least the threshold.

    Samples that are done leave the running batch, so the later stages compute only the others.
    The answers are those that choosing afterwards from all exits gives.

    Args:
        net: in evaluation mode.
        x: images, (B, 3, H, W).
        threshold: theta in (0, 1], or one for each internal exit; None: all go to the final exit.
        fallback: where a sample goes when no exit is confident: to the final one, or to the most
            confident one (the rule of the released scripts; the earliest of equals).
    Returns:
        One row per sample, in the order of x.
    Raises:
        UserError: no such threshold or fallback, a network in training mode, or images of a size
            that it cannot take.
    """
    if net.training:
        raise UserError("early exit needs the network in evaluation mode; call net.eval() first")
    check_fallback(fallback)
    thresholds = _thresholds(threshold, net.num_exits - 1)
    net.check_size(*x.shape[-2:])

    rows = torch.arange(len(x), device=x.device)
    done: list[tuple[Tensor, EarlyExit]] = []
    best: EarlyExit | None = None
    number = 0
    for position, stage in enumerate(net.backbone.stages):
        x = stage(x)
        found = net.internal_exit(position, x)
        if found is None:
            continue
        probabilities, confidence = _sureness(found.logits)
        leaves = confidence >= thresholds[number]
        now = EarlyExit(probabilities, torch.full_like(rows, number), confidence)
        number += 1
        if fallback == "most_confident":
            best = _better(best, now)
        if not leaves.any():
            continue
        done.append((rows[leaves], _pick(now, leaves)))
        stays = (~leaves).nonzero().squeeze(1)
        if len(stays) == 0:
            return _in_order(done)
        x, rows = x[stays], rows[stays]
        best = best and _pick(best, stays)
    probabilities, confidence = _sureness(net.backbone.head(x).logits)
    last = EarlyExit(probabilities, torch.full_like(rows, number), confidence)
    done.append((rows, _better(best, last)))
    return _in_order(done)


def _thresholds(threshold: Theta | None, count: int) -> list[float]:
    """One threshold per internal exit, checked."""
    if threshold is None:
        return [math.inf] * count
    given = check_theta(threshold, np.float64)
    if given.ndim and len(given) != count:
        raise UserError(
            f"there are {len(given)} thresholds but {count} internal exits; give one for each"
        )
    return [float(value) for value in given] if given.ndim else [float(given)] * count


def _sureness(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and the largest of them."""
    probabilities = widen(logits).softmax(1)
    return probabilities, probabilities.amax(1)


def _better(best: EarlyExit | None, now: EarlyExit) -> EarlyExit:
    """Of two answers per sample the more confident one."""
    if best is None:
        return now
    gains = now.confidence > best.confidence
    return EarlyExit(
        torch.where(gains[:, None], now.probabilities, best.probabilities),
        torch.where(gains, now.exit, best.exit),
        torch.where(gains, now.confidence, best.confidence),
    )


def _pick(answer: EarlyExit, rows: Tensor) -> EarlyExit:
    return EarlyExit(*(part[rows] for part in answer))


def _in_order(done: list[tuple[Tensor, EarlyExit]]) -> EarlyExit:
    """The answers of all who left, in the order in which the samples came."""
    if len(done) == 1:
        return done[0][1]
    order = torch.cat([rows for rows, _ in done]).argsort()
    parts = zip(*(answer for _, answer in done), strict=True)
    return EarlyExit(*(torch.cat(part)[order] for part in parts))


ANSWER = ("prediction", "confidence", "exit", "cost")


def answer_table(
    answers: Sequence[EarlyExit],
    classes: Sequence[str],
    exit_names: Sequence[str],
    costs: Sequence[float],
) -> pd.DataFrame:
    """The columns `ANSWER` of images that have left, a row per image.

    The cost is multiply-adds as a share of the full network's.

    Args:
        answers: batches.
        classes: C names.
        exit_names: E names, the final exit last.
        costs: multiply-adds of an image that leaves at each exit, E numbers.
    """
    exits = torch.cat([part.exit for part in answers]).cpu().numpy()
    predicted = torch.cat([part.probabilities.argmax(1) for part in answers]).cpu().numpy()
    columns = (
        np.array(classes)[predicted],
        torch.cat([part.confidence for part in answers]).cpu().numpy(),
        np.array(exit_names)[exits],
        np.array(costs)[exits] / costs[-1],
    )
    return pd.DataFrame(dict(zip(ANSWER, columns, strict=True)))
