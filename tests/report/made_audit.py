"""Audits made by hand: every part filled in, sizes and names to choose."""

import math

import numpy as np

from fairexit.auditing.gap_results import ClassGap, Estimate, Gap, Paired, Proportion
from fairexit.auditing.positive import headlines
from fairexit.auditing.results import AttributeAudit, Facts
from fairexit.auditing.section_results import (
    Clinical,
    CohortComparison,
    CohortGap,
    CohortShift,
    Curve,
    Dropout,
    ExitRow,
    ExitUsage,
    Slice,
    SliceSearch,
)
from fairexit.auditing.settings import verdict_on
from fairexit.evaluation.policy import Policy
from fairexit.report.audit_report import AuditReport

NAN = math.nan


def around(value, half=0.04, note=""):
    return Estimate(value, value - half, value + half, note)


def portion(value, n, clusters=None):
    """A share of n samples, undefined without samples."""
    clusters = n if clusters is None else clusters
    if not n:
        return Proportion(NAN, note="not defined")
    low, high = max(value - 0.1, 0), min(value + 0.1, 1)
    return Proportion(value, low, high, "", round(value * n), n, clusters)


def class_gaps(classes, groups, random):
    found = []
    for i, name in enumerate(classes):
        for rate in ("tpr", "fpr"):
            rates = dict(zip(groups, random.uniform(0.3, 0.9, len(groups)).tolist(), strict=True))
            verdict = ("more than chance", "could be chance", "too few samples")[i % 3]
            small = verdict == "too few samples"
            low, high = min(rates, key=rates.get), max(rates, key=rates.get)
            gap = rates[high] - rates[low]
            sizes = dict.fromkeys(groups, (40 + i, 30 + i))
            if small:
                sizes[groups[0]] = (0, 0)
            found.append(
                ClassGap(
                    name,
                    rate,
                    Estimate(NAN, note="fewer than 10 clusters") if small else around(gap, 0.06),
                    {group: portion(rates[group], *sizes[group]) for group in groups},
                    groups[:1] if small else (),
                    "" if small else high,
                    "" if small else low,
                    0.05,
                    NAN if small else 0.004,
                    NAN if small else 0.03,
                    2 * len(classes),
                    NAN if small else 0.15,
                    verdict,
                )
            )
    return tuple(found)


def attribute_audit(name, groups, classes, exits, random, positive):
    counts = random.integers(0, 40, (len(groups), len(classes), len(classes)))
    counts += 120 * np.eye(len(classes), dtype=np.int64)
    counts[0, 0] = 0
    n = {g: int(c.sum()) for g, c in zip(groups, counts, strict=True)}
    thetas = np.linspace(0.2, 1, 60)
    share = np.linspace(0.9, 0.1, 60)
    shares = {e: share / (len(exits) - 1) for e in exits[:-1]} | {"f": 1 - share}
    keys = ("accuracy", "f1", "eodd", "eopp1")
    metrics = {k: 0.1 * (i + 1) + 0.05 * thetas for i, k in enumerate(keys)}
    metrics["eodd"][:5] = NAN
    rows = tuple(
        ExitRow(
            e,
            g,
            50,
            portion(1 / len(exits), n[g]),
            portion(0.7, 50),
            0.3,
            ((classes[0], classes[1], 4),),
        )
        for e in exits
        for g in groups
    )
    by_class = class_gaps(classes, groups, random)
    return AttributeAudit(
        attribute=name,
        groups=groups,
        n=n,
        clusters={g: n[g] // 2 for g in groups},
        unknown=3,
        counts=counts,
        empty_cells=((groups[0], classes[0]),),
        by_group={
            g: {
                "precision": around(0.61),
                "recall": around(0.58),
                "f1": around(0.59, note="one class rests on 4 clusters"),
                "accuracy": portion(0.72, n[g]),
                "auroc": around(0.91),
                "ece": Estimate(0.08, note="no interval for this number"),
            }
            for g in groups
        },
        overall={
            "precision": around(0.61),
            "recall": around(0.58),
            "f1": around(0.59),
            "f1_diff": around(0.03),
            "accuracy": around(0.723),
            "balanced_accuracy": around(0.57),
            "worst_group_f1": around(0.55),
            "auroc": around(0.91),
            "ece": around(0.08),
        },
        gaps=(
            Gap(
                "eopp0",
                around(0.021, 0.01),
                0.018,
                0.024,
                0.21,
                0.003,
                0.02,
                verdict_on(0.21, 0.05),
            ),
            Gap(
                "eopp1",
                around(0.093, 0.03),
                0.047,
                0.071,
                0.004,
                0.046,
                0.08,
                verdict_on(0.004, 0.05),
                p_any=0.002,
            ),
            Gap(
                "eopp1_weighted",
                around(0.032, 0.02),
                0.021,
                0.04,
                0.13,
                0.012,
                0.05,
                verdict_on(0.13, 0.05),
            ),
            Gap(
                "eodd_paper",
                around(0.041, 0.02),
                0.026,
                0.039,
                0.041,
                0.015,
                NAN,
                verdict_on(0.041, 0.05),
            ),
            Gap(
                "eodd",
                around(0.06, 0.02),
                0.03,
                0.045,
                0.0004,
                0.03,
                0.05,
                verdict_on(0.0004, 0.05),
            ),
            Gap("f1_diff", around(0.03, 0.03), 0.02, 0.05, NAN, 0.01, 0.06, verdict_on(NAN, 0.05)),
        ),
        approximate=False,
        stuck=0.02,
        bundled=False,
        classes=by_class,
        headlines=headlines(by_class, positive, assumed=False),
        dropout=Dropout(
            3,
            {name: (3 * (i == 0), 300) for i, name in enumerate(classes)},
            portion(0.333, 3),
            portion(0.723, 900),
            0.01,
            0.4,
            True,
        ),
        clinical=tuple(
            Clinical(
                p,
                {g: {"sensitivity": portion(0.71, 41), "specificity": around(0.9)} for g in groups},
                0.9,
                0.31,
                "",
            )
            for p in positive
        ),
        exit_usage=ExitUsage(
            rows,
            dict.fromkeys(groups, 0.63),
            "",
            0.09,
            0.03,
            0.002,
            "more than chance",
            ("img-1", "img-2"),
            ("img-9",),
        )
        if len(exits) > 1
        else None,
        curve=Curve(thetas, metrics, shares, np.linspace(0.3, 1, 60), 0.9)
        if len(exits) > 1
        else None,
        paired=(
            Paired("f1", 0.59, 0.57, around(0.02, 0.01), 0.015, (0.58, 0.6), (0.56, 0.58)),
            Paired("eopp1", 0.093, 0.081, around(0.012, 0.03), 0.04, (0.09, 0.096), (0.08, 0.082)),
        ),
        seeds={"f1": (0.58, 0.6), "eopp1": (0.09, 0.096)},
    )


def cohort(a, positive):
    """A comparison with another cohort."""
    five = [around(v) for v in (-0.2, -0.05, 0.15, 0.1, 0.05)]
    rows = [("accuracy", "", five), *(("tpr", name, five) for name in positive)]
    return CohortComparison(
        a.attribute,
        "here",
        "there",
        {g: (n, 2 * n) for g, n in a.n.items()},
        dict.fromkeys(a.groups, (60, 80)),
        (),
        ("rare",),
        tuple(
            CohortGap(a.groups[0], measure, name, *values, 0.01, 0.02, "more than chance")
            for measure, name, values in rows
        ),
        tuple(
            CohortShift(g, portion(0.6, 90), portion(0.7, 80), *five[2:]) for g in ("", *a.groups)
        ),
        1000,
    )


def made_audit(
    classes=("MEL", "NV", "BCC", "AK"),
    attributes=None,
    exits=("1", "2", "3", "4", "f"),
    name="me-resnet18",
    positive=("MEL",),
    title="",
    cohorts=False,
    seed=0,
):
    """An audit with every part; `attributes` is name -> groups."""
    random = np.random.default_rng(seed)
    positive = tuple(name for name in positive if name in classes)
    attributes = attributes or {"sex": ("female", "male")}
    found = tuple(
        attribute_audit(key, tuple(groups), classes, exits, random, positive)
        for key, groups in attributes.items()
    )
    first = found[0]
    return AuditReport(
        Facts(
            name=name,
            title=title,
            date="2026-11-28",
            source="runs/me",
            split="test",
            n=sum(first.n.values()) + first.unknown,
            accuracy=portion(0.721, sum(first.n.values()) + first.unknown),
            clusters=sum(first.clusters.values()),
            cluster_name="lesion_id",
            classes=classes,
            positives=positive,
            assumed_positive=False,
            class_counts=dict(zip(classes, first.counts.sum((0, 2)).tolist(), strict=True)),
            hard=False,
            exits=exits,
            policy=Policy(0.9, rule="eodd_paper", split="val").to_dict(),
            baseline="plain",
            n_resamples=10000,
            n_score_resamples=1000,
            n_permutations=10000,
            random_state=0,
            confidence_level=0.95,
            alpha=0.05,
            dataset={
                "name": "synthetic",
                "website": "https://example.org/data",
                "licence": "CC0",
                "skipped": {"unknown sex": 12},
                "leaks": {"train-test": {"clusters": 4, "share": 0.012}},
            },
            versions={"fairexit": "0.1.0", "python": "3.12.1", "numpy": "2.1.0"},
        ),
        found,
        SliceSearch(
            (
                Slice(
                    {"age_group": "60 and over", "site": "back"},
                    210,
                    180,
                    0.41,
                    0.28,
                    around(0.13, 0.05),
                    0.0001,
                    0.006,
                ),
                Slice({"site": "head"}, 90, 70, 0.3, 0.27, around(0.03, 0.07), 0.2, 0.9),
            ),
            34,
            21,
            ("sex", "age_group", "site"),
            {"age": "more than 50 values"},
            10,
        ),
        tuple(cohort(a, positive) for a in found) if cohorts else (),
    )
