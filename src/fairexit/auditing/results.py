"""The results of an audit as plain data: numbers with intervals, tests, and sample sizes.

`AuditResults` hold everything that a report shows. Their size does not depend on the number of
samples. `fairexit.report` puts them into words, tables and figures. A number is NaN if it is
undefined or if its interval is not reliable.
"""

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.gap_results import ClassGap, Estimate, Gap, Headline, Paired, Proportion
from fairexit.auditing.section_results import (
    Clinical,
    CohortComparison,
    Curve,
    Dropout,
    ExitUsage,
    Reliability,
    SliceSearch,
)
from fairexit.evaluation.referral import Referral


@dataclass(frozen=True)
class AttributeAudit:
    """All results for one sensitive attribute, or for several crossed attributes.

    Attributes:
        attribute: its name; those of crossed attributes are joined by " x ".
        groups: its values.
        n: group -> samples.
        clusters: group -> clusters.
        unknown: samples without a known value; they are left out of all numbers below.
        dropout: what is known of those samples; None if there are none.
        headlines: the answer for each positive class, or for the class with the largest gap; empty
            if no class is positive and none can be compared.
        counts: samples by group, true class and answer, (M, C, C): the confusion matrices.
        empty_cells: (group, class) pairs without a sample.
        by_group: group -> metric -> number: precision, recall, f1 (macro), accuracy and, with
            probabilities, auroc and ece.
        overall: metric -> number: precision, recall, f1 (means over groups), their `_diff`,
            accuracy, balanced_accuracy, worst_group_*, and, with probabilities, auroc and ece.
        gaps: the gaps between groups and their tests.
        approximate: whether the permutation test is approximate (class profiles were pooled).
        stuck: share of the samples whose cluster has no partner to swap groups with.
        bundled: whether clusters were merged at random before the permutation.
        classes: the gaps class by class.
        clinical: the clinical measures, one for each positive class.
        exit_usage: the exits at which samples leave; None for a plain model.
        reliability: calibration and failure prediction by exit and group; empty without
            probabilities.
        referral: what prediction sets do, where the policy has them.
        curve: metrics over theta; None for a plain model.
        paired: the comparison with the baseline; empty without a baseline.
        seeds: metric -> one value for each seed; empty with a single seed.
    """

    attribute: str
    groups: tuple[str, ...]
    n: dict[str, int]
    clusters: dict[str, int]
    unknown: int
    counts: NDArray[np.int64]
    empty_cells: tuple[tuple[str, str], ...]
    by_group: dict[str, dict[str, Estimate]]
    overall: dict[str, Estimate]
    gaps: tuple[Gap, ...]
    approximate: bool
    stuck: float
    bundled: bool
    classes: tuple[ClassGap, ...]
    headlines: tuple[Headline, ...] = ()
    dropout: Dropout | None = None
    clinical: tuple[Clinical, ...] = ()
    exit_usage: ExitUsage | None = None
    reliability: tuple[Reliability, ...] = ()
    referral: tuple[Referral, ...] = ()
    curve: Curve | None = None
    paired: tuple[Paired, ...] = ()
    seeds: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """The model, the data and the settings of an audit.

    Attributes:
        name: of the model.
        title: of the report, "" for the name of the model.
        date: day of the audit, as YYYY-MM-DD.
        source: file or folder, or "" for tables in memory.
        split: the split that was measured, "" if the rows name none.
        n: number of samples.
        accuracy: of all n samples, whether or not their attributes are known.
        clusters: number of lesions or patients, including those with a single sample.
        cluster_name: the column of clusters, "" if every sample is a cluster of its own.
        classes: class names.
        class_counts: class -> samples.
        positives: the positive classes.
        assumed_positive: whether the positive one of two classes was not named.
        hard: whether there are answers only and no probabilities, so no AUROC or calibration.
        exits: exit names; ("f",) for a plain model.
        policy: the early-exit policy, as fields of `fairexit.evaluation.policy.Policy`.
        baseline: name of the model to compare with, "" if there is none.
        n_resamples: bootstrap draws of the metrics of counts.
        n_score_resamples: bootstrap draws of AUROC and ECE.
        n_permutations: permutations behind each p-value.
        random_state: seed of draws and permutations.
        confidence_level: of the intervals.
        alpha: largest p-value that counts as more than chance.
        dataset: description of the prepared data (name, website, licence, skipped, leaks); empty
            if they are not available.
        versions: of fairexit, Python and numpy.
        notes: what a reader should know about how the tables were read.
        bounds: what was not computed in full because the table is large, one sentence each.
    """

    name: str
    title: str
    date: str
    source: str
    split: str
    n: int
    accuracy: Proportion
    clusters: int
    cluster_name: str
    classes: tuple[str, ...]
    class_counts: dict[str, int]
    positives: tuple[str, ...]
    assumed_positive: bool
    hard: bool
    exits: tuple[str, ...]
    policy: dict[str, Any]
    baseline: str
    n_resamples: int
    n_score_resamples: int
    n_permutations: int
    random_state: int
    confidence_level: float
    alpha: float
    dataset: dict[str, Any]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditResults:
    """All results of an audit.

    Attributes:
        facts: the model, the data and the settings.
        attributes: one for each attribute, then one for the crossed attributes.
        slices: the search for the worst slices.
        cohorts: the comparison with another cohort, one for each attribute; empty without one.
    """

    facts: Facts
    attributes: tuple[AttributeAudit, ...]
    slices: SliceSearch
    cohorts: tuple[CohortComparison, ...] = ()


MAX_LISTED = 1_000_000
"""Numbers of an array up to which `plain` lists all of them."""


def plain(value: Any) -> Any:
    """A value for JSON: dataclasses as dicts, arrays as lists, NaN as None.

    An array of more than `MAX_LISTED` numbers, such as the counts of thousands of classes, becomes
    the list of those that are not 0, each as its indices and its value.
    """
    if isinstance(value, np.ndarray) and value.size > MAX_LISTED:
        places = np.argwhere(value)
        return [[*place, value[tuple(place)].item()] for place in places.tolist()]
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(v) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
