"""Predictions with planted gaps, and settings of audits, for the tests of this folder."""

from dataclasses import replace

import numpy as np

from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.evaluation.policy import Policy
from fairexit.predictions.files import Predictions

QUICK = AuditSettings(
    n_resamples=200, n_score_resamples=100, n_permutations=300, n_gap_resamples=100
)

CLASSES = ("mel", "nev", "bcc")


def draw(
    n=600,
    seed=0,
    gap=0.0,
    exits=1,
    split="test",
    classes=CLASSES,
    groups=("f", "m"),
    slow_group=0.0,
):
    """Predictions whose group 0 errs more often by `gap`, and is less sure early by `slow_group`.

    Two samples share a lesion, which is of one class and group.
    """
    rng = np.random.default_rng(seed)
    lesion = np.repeat(np.arange((n + 1) // 2), 2)[:n]
    label = rng.integers(0, len(classes), lesion[-1] + 1)[lesion]
    group = rng.integers(0, len(groups), lesion[-1] + 1)[lesion]
    site = rng.integers(0, 3, lesion[-1] + 1)[lesion]
    wrong = rng.random(n) < 0.25 + gap * (group == 0)
    answer = np.where(wrong, (label + 1) % len(classes), label)
    probabilities = np.empty((n, exits, len(classes)))
    for e in range(exits):
        sure = rng.uniform(0.5, 0.99, n) - slow_group * (group == 0) * (e < exits - 1)
        sure = np.maximum(sure, 1.1 / len(classes))
        rows = np.repeat(((1 - sure) / (len(classes) - 1))[:, None], len(classes), 1)
        rows[np.arange(n), answer] = sure
        probabilities[:, e] = rows
    return Predictions(
        ids=np.array([f"{split}{i}" for i in range(n)]),
        clusters=np.array([f"lesion {k}" for k in lesion]),
        split=np.full(n, split),
        labels=label,
        attributes={"sex": group, "site": site},
        group_names={"sex": tuple(groups), "site": ("arm", "face", "leg")},
        classes=tuple(classes),
        probabilities=probabilities.astype(np.float32),
        exit_names=(*(str(e + 1) for e in range(exits - 1)), "f"),
    )


def source(theta=0.8, costs=None, validation=None, **options):
    """A source of such predictions."""
    p = draw(**options)
    several = len(p.exit_names) > 1
    policy = Policy(theta) if several else Policy(None, rule="single exit")
    return Source("drawn", p, policy, validation=validation, cluster_name="cluster", costs=costs)


def change(found, **columns):
    """A source with other columns of its predictions."""
    return replace(found, predictions=replace(found.predictions, **columns))
