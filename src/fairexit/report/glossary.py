"""Short plain definitions of the terms that a report uses."""

from collections.abc import Iterator

from fairexit.auditing.results import AuditResults, Facts
from fairexit.report.vocabulary import ANY_CLASS, BY_IMAGES, capital, units


def glossary(audit: AuditResults) -> list[tuple[str, str]]:
    """The terms that this report uses, in alphabetical order, with their definitions."""
    terms = [*_gaps(audit.facts), *_intervals(audit.facts), *_rates(audit), *_parts(audit)]
    return sorted(terms, key=lambda entry: entry[0].lower())


def _gaps(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "Accuracy", "The share of all answers that are right."
    for text in (ANY_CLASS, BY_IMAGES):
        term, _, meaning = text.partition(": ")
        yield term, capital(meaning)
    yield (
        "By chance alone",
        "How large the gap is if the groups do not matter: the mean when groups are exchanged at "
        "random between samples of the same class.",
    )
    yield (
        "Could be chance",
        "Samples like these often show such a gap although there is none. It is no proof that "
        "there is none.",
    )
    yield "Corrected p", "A p-value that takes into account that several gaps were tested."
    yield (
        "Eodd (equalized odds)",
        "The mean over the classes of half the sum of the gap in true and in false positive rate.",
    )
    if len(facts.classes) == 2:
        yield (
            "Equal opportunity",
            "The gap in the true positive rate of the positive class: of the people who have the "
            "disease, how many more are found in one group than in the other.",
        )
    else:
        yield (
            "Eopp1 (equal opportunity)",
            "The mean over the classes of the gap in true positive rate.",
        )
    yield (
        "Gap",
        "The largest difference between groups: the rate of the highest group minus that of the "
        "lowest.",
    )
    yield (
        "More than chance",
        f"If the groups did not matter, so large a gap would occur in at most "
        f"{100 * facts.alpha:g} of 100 cases.",
    )
    yield (
        "p (p-value)",
        "How often chance alone gives a gap as large as this one: 0.05 is once in 20.",
    )
    yield (
        "Smallest detectable",
        "The smallest true gap that samples like these would show to be more than chance in 80 of "
        "100 cases. Smaller gaps can stay hidden.",
    )


def _intervals(facts: Facts) -> Iterator[tuple[str, str]]:
    of = units(facts)
    yield (
        "Exact interval",
        "The interval of Clopper and Pearson for k of n. It holds for few samples too, such as 0 "
        f"of 4; where {of} have several samples, n is reduced accordingly."
        if facts.cluster_name
        else "The interval of Clopper and Pearson for k of n; it holds for few samples too.",
    )
    yield (
        f"Interval ({100 * facts.confidence_level:.0f} %)",
        "The range of true values that fit these samples; the fewer samples, the wider.",
    )
    if facts.cluster_name:
        yield (
            of.capitalize() if of != "clusters" else "Cluster",
            f"The samples with the same value in the column {facts.cluster_name} belong together "
            "and are counted, drawn and permuted together.",
        )


def _rates(audit: AuditResults) -> Iterator[tuple[str, str]]:
    yield (
        "False positive rate",
        "Of the samples of all other classes, the share that is wrongly given this class.",
    )
    yield (
        "True positive rate (sensitivity)",
        "Of the samples that have the class, the share that the model finds.",
    )
    if not audit.facts.hard:
        yield (
            "AUROC",
            "How well the scores order the samples: 1 is perfect, 0.5 is no better than chance.",
        )
        yield (
            "Calibration error (ECE)",
            "How far the stated confidence is from the share of right answers, on average.",
        )
    if any(a.clinical for a in audit.attributes):
        yield (
            "PPV, NPV",
            "Of the samples with a positive (negative) answer, the share that is truly so. They "
            "depend on how frequent the disease is among the samples.",
        )
        yield "Specificity", "Of the samples without the class, the share that is not given it."


def _parts(audit: AuditResults) -> Iterator[tuple[str, str]]:
    if len(audit.facts.exits) > 1:
        yield (
            "Exit",
            "A place in the network where an easy image may leave with an answer before the end.",
        )
    if audit.cohorts:
        yield "Cohort", "A set of samples from one place or time."
        yield (
            "Mix and performance",
            "Accuracy differs between cohorts because difficult classes are more frequent (mix) or "
            "because the same class is answered less well (performance).",
        )
