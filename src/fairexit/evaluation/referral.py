"""Prediction sets on stored predictions: their cuts from validation, and what they do elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.sets import GroupCut, PredictionSets, check_coverage, referred
from fairexit.evaluation.thresholds import answering_exits
from fairexit.predictions.data import Predictions
from fairexit.stats.conformal import cluster_quantile
from fairexit.types import UNKNOWN


def fit_sets(
    predictions: Predictions, group: str, policy: Policy, coverage: float
) -> PredictionSets:
    """The cuts with which sets hold the true class with probability `coverage` in every group.

    The probability is over validation sets and a new image of a new cluster, which is drawn as
    those of validation were. A theta that was chosen on the same images makes it hold only nearly.

    Args:
        predictions: rows of the split "val" only.
        group: the attribute whose groups are covered.
        policy: decides at which exit each image is answered.
        coverage: in (0, 1).
    Raises:
        UserError: the coverage is out of range, rows belong to another split, or there are no
            probabilities.
    """
    check_coverage(coverage)
    if predictions.splits != ["val"]:
        raise UserError("prediction sets are fitted only on rows of split 'val'")
    groups, names = predictions.group(group)
    probabilities = answering_probabilities(predictions, policy)
    scores = 1 - probabilities[np.arange(len(predictions)), predictions.labels].astype(np.float64)
    clusters, cuts = cluster_index(predictions.clusters), []
    for g, name in enumerate(names):
        rows = groups == g
        cut = cluster_quantile(scores[rows], clusters[rows], coverage)
        number = len(np.unique(clusters[rows]))
        cuts.append(GroupCut(name, int(rows.sum()), number, cut if np.isfinite(cut) else None))
    return PredictionSets(coverage, group, tuple(cuts))


@dataclass(frozen=True)
class Referral:
    """What prediction sets do to some of the images.

    Attributes:
        group: name of the group; "" for all images.
        exit: name of the exit that answers; "" for all exits.
        images: number of images.
        covered: share of the images whose set holds the true class.
        size: mean number of classes in a set.
        referred: share of the images that are referred.
        error: share of wrong answers among all of them.
        kept_error: the same among those that are not referred; NaN without any.
    """

    group: str
    exit: str
    images: int
    covered: float
    size: float
    referred: float
    error: float
    kept_error: float


def referrals(
    predictions: Predictions, policy: Policy, groups: NDArray[np.int64], names: Sequence[str]
) -> tuple[Referral, ...]:
    """What the policy's sets do: to all images, to each group, and to each group at each exit.

    Args:
        predictions: N images, whichever their split.
        policy: a policy with sets.
        groups: group of each image, UNKNOWN for those that are left out, (N,).
        names: names of the groups.
    """
    assert policy.sets is not None
    exits = answering_exits(predictions, policy)
    members = policy.sets.members(answering_probabilities(predictions, policy))
    index = np.arange(len(predictions))
    covered, sent = members[index, predictions.labels], referred(members)
    wrong = predictions.answers_at(exits) != predictions.labels
    rows = []
    for name, exit, chosen in _parts(predictions.exit_names, groups, names, exits):
        if not chosen.any():
            continue
        kept = chosen & ~sent
        rows.append(
            Referral(
                name,
                exit,
                int(chosen.sum()),
                float(covered[chosen].mean()),
                float(members[chosen].sum(1).mean()),
                float(sent[chosen].mean()),
                float(wrong[chosen].mean()),
                float(wrong[kept].mean()) if kept.any() else float("nan"),
            )
        )
    return tuple(rows)


def _parts(
    exit_names: Sequence[str],
    groups: NDArray[np.int64],
    names: Sequence[str],
    exits: NDArray[np.int64],
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Name of the group, name of the exit, and which images belong to both, (N,)."""
    yield "", "", groups != UNKNOWN
    for g, name in enumerate(names):
        yield name, "", groups == g
    for k, exit in enumerate(exit_names):
        for g, name in enumerate(names):
            yield name, exit, (groups == g) & (exits == k)


def answering_probabilities(predictions: Predictions, policy: Policy) -> NDArray[np.float32]:
    """The class probabilities at the exit that answers, (N, C).

    Raises:
        UserError: only the answers are known.
    """
    tempered = predictions.tempered(policy.temperature_values)
    probabilities = tempered.probabilities_at(answering_exits(tempered, policy))
    if probabilities is None:
        raise UserError("prediction sets need class probabilities, but only answers are given")
    return probabilities
