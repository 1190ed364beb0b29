"""A model card in the format of the Hugging Face Hub, from the results of an audit only.

Items that an audit cannot know (intended use, training, ethics) are listed as not answered.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from fairexit.auditing.gap_results import Estimate
from fairexit.auditing.results import AuditResults
from fairexit.evaluation.policy import Policy
from fairexit.files import write_atomically
from fairexit.metrics.rates import AVERAGES
from fairexit.report.advice import limits, next_steps
from fairexit.report.audit_tables import (
    cell_table,
    class_table,
    clinical_table,
    gap_table,
    group_table,
    slice_table,
)
from fairexit.report.cohort_text import cohort_notes, cohort_tables
from fairexit.report.findings import permutation_note, policy_text, summary
from fairexit.report.guidelines import OF_THE_CARD
from fairexit.report.guidelines.items import CARD, Guideline, evidence
from fairexit.report.theta_text import choice_lines
from fairexit.report.vocabulary import ANY_CLASS, BY_IMAGES, capital, label
from fairexit.tables import Table, markdown

OVERALL = ("accuracy", "balanced_accuracy", "f1", "auroc")
MEASURES = (
    "Precision, recall and F1 are means over the classes. Eopp0, Eopp1: mean over the classes of "
    "the range over the groups of the true negative and true positive rate. Eodd: mean of half the "
    "sum of the ranges of true and of false positive rate; as printed by Chiu et al. 2023, "
    "opposite gaps cancel. Gaps are means of absolute differences, which chance "
    "alone makes larger than zero, so the gap by chance alone is shown as well. "
    f"{BY_IMAGES} {ANY_CLASS}"
)


def write_card(audit: AuditResults, path: Path) -> None:
    """Write the card.

    Args:
        audit: the results.
        path: the Markdown file, README.md in a repository of the Hub.
    """
    write_atomically(path, render_card(audit))


def render_card(audit: AuditResults) -> str:
    """The card as text: YAML front matter, then Markdown."""
    front = yaml.safe_dump(_metadata(audit), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n\n".join(_body(audit)) + "\n"


def _metadata(audit: AuditResults) -> dict[str, Any]:
    """The front matter as `huggingface_hub.ModelCardData` reads it."""
    facts = audit.facts
    # Without prepared images, the predictions may be of any kind of data.
    task = "image-classification" if facts.dataset else "other"
    name = str(facts.dataset.get("name", "")) or "not stated"
    dataset = {"type": name, "name": name, **({"split": facts.split} if facts.split else {})}
    metrics = list(_metrics(audit))
    return {
        **({"pipeline_tag": task} if facts.dataset else {}),
        "tags": ["fairness", "fairness-audit", *(["early-exit"] if len(facts.exits) > 1 else [])],
        "metrics": list(dict.fromkeys(m["type"] for m in metrics)),
        "model-index": [
            {
                "name": facts.name,
                "results": [{"task": {"type": task}, "dataset": dataset, "metrics": metrics}],
            }
        ],
    }


def _metrics(audit: AuditResults) -> Iterator[dict[str, Any]]:
    first = audit.attributes[0]
    overall = first.overall | {"accuracy": audit.facts.accuracy}
    for key in OVERALL:
        if key in overall:
            name = capital(label(key))
            name += f", mean of the groups of {first.attribute}" if key in AVERAGES else ""
            yield from _metric(key, name, overall[key])
    for a in audit.attributes:
        for gap in a.gaps:
            name = f"{capital(label(gap.metric))} by {a.attribute}"
            yield from _metric(gap.metric, name, gap.estimate)


def _metric(key: str, name: str, estimate: Estimate) -> Iterator[dict[str, Any]]:
    if math.isfinite(estimate.value):
        yield {"type": key, "name": name, "value": round(estimate.value, 4)}


def _body(audit: AuditResults) -> Iterator[str]:
    facts = audit.facts
    yield f"# Model card of {markdown(facts.name)}"
    yield (
        "This card contains the results of an audit of the model's predictions. Items that the "
        "audit cannot know are listed at the end as not answered."
    )
    yield from _section("Summary", summary(audit))
    answers = "answers only" if facts.hard else "a probability for each class"
    yield from _section(
        "Model",
        [
            f"Output: {answers}, {len(facts.classes)} classes: {', '.join(facts.classes)}.",
            f"Exits: {len(facts.exits)}. Policy: {policy_text(facts)}.",
            *choice_lines(Policy.from_dict(facts.policy)),
        ],
    )
    yield from _section("Data", list(_data(audit)))
    yield from _tables([cell_table(a, facts) for a in audit.attributes])
    yield "## Results"
    for a in audit.attributes:
        tables = [
            group_table(a, facts),
            gap_table(a),
            class_table(a, facts),
            *map(clinical_table, a.clinical),
        ]
        yield f"### By {markdown(a.attribute)}"
        yield from _tables(tables)
    if audit.slices.worst:
        yield "### Worst slices"
        yield from _tables([slice_table(audit)])
    for comparison in audit.cohorts:
        yield f"### Another cohort, by {markdown(comparison.attribute)}"
        yield "\n".join(f"- {markdown(note)}" for note in cohort_notes(comparison))
        yield from _tables([*cohort_tables(comparison)])
    yield from _section("Method", list(_method(audit)))
    yield from _section("What to do next", next_steps(audit))
    yield from _section("Limits", limits(audit))
    for guideline in OF_THE_CARD:
        yield from _guideline(guideline, audit)


def _section(title: str, points: Sequence[str]) -> Iterator[str]:
    if points:
        yield f"## {title}"
        yield "\n".join(f"- {markdown(point)}" for point in points)


def _tables(tables: Sequence[Table]) -> Iterator[str]:
    for table in tables:
        yield f"**{markdown(table.title)}**"
        yield table.to_markdown().strip()


def _data(audit: AuditResults) -> Iterator[str]:
    facts = audit.facts
    where = f" of the {facts.split} split" if facts.split else ""
    yield f"Measured: {facts.n:,} samples{where}."
    if facts.cluster_name:
        yield f"Clusters (column {facts.cluster_name}): {facts.clusters:,}."
    for a in audit.attributes:
        if a.unknown:
            yield f"Unknown {a.attribute}: {a.unknown:,} samples, left out of all its numbers."
    info = facts.dataset
    if not info:
        yield "The origin of the data is not known: there is only the table of predictions."
        return
    yield f"Dataset: {info['name']}, {info.get('website') or 'no website stated'}."
    yield f"Licence of the data: {info.get('licence') or 'not stated'}."
    for reason, n in info.get("skipped", {}).items():
        yield f"Left out when the data were prepared: {n:,}, {reason}."
    for pair, leak in info.get("leaks", {}).items():
        shared = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in leak.items())
        yield f"Shared by {pair.replace('-', ' and ')}: {shared}."


def _method(audit: AuditResults) -> Iterator[str]:
    facts = audit.facts
    units = f"clusters (column {facts.cluster_name})" if facts.cluster_name else "samples"
    yield MEASURES
    yield (
        f"Intervals: {100 * facts.confidence_level:g} %. Of shares, k of n, exact (Clopper and "
        "Pearson, with the effective number of samples in clusters); of other gaps and differences "
        "between groups by inversion of the permutation test; of all other numbers by bootstrap "
        f"over {units}, {facts.n_resamples:,} draws."
    )
    for a in audit.attributes:
        yield f"Chance, {a.attribute}: {facts.n_permutations:,} times {permutation_note(a)}."
    yield f"A difference counts as more than chance if p is at most {facts.alpha:g}."
    yield "Made with " + ", ".join(f"{key} {v}" for key, v in facts.versions.items()) + "."


def _guideline(guideline: Guideline, audit: AuditResults) -> Iterator[str]:
    answers = guideline.answers(evidence(audit), [CARD])
    rows = [
        [a.item.number, a.item.title, a.state, a.where(documents=False), a.left]
        for a in answers
        if a.replies
    ]
    columns = ["Item", "Topic", "Answered", "Where in this card", "Left to the authors"]
    table = Table(guideline.name, columns, rows, 5)
    yield f"## Items of {guideline.name}"
    yield table.to_markdown().strip()
    open_items = [f"{a.item.number} {a.item.title}" for a in answers if not a.replies]
    yield f"Not answered here: {markdown('; '.join(open_items))}."
