"""An audit as one self-contained HTML page that loads no external resources."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from fairexit.auditing.gap_results import (
    COULD_BE_CHANCE,
    MORE_THAN_CHANCE,
    NOT_TESTED,
    TOO_FEW,
    ClassGap,
)
from fairexit.auditing.results import AttributeAudit, AuditResults
from fairexit.evaluation.entanglement import MEAN, Entanglement
from fairexit.evaluation.policy import Policy
from fairexit.files import write_atomically
from fairexit.metrics.rates import AVERAGES
from fairexit.metrics.scores import BINS
from fairexit.report import audit_figures as figures
from fairexit.report import vocabulary
from fairexit.report.advice import limits, next_steps
from fairexit.report.answer import cautions, dropout_text, headline_lines
from fairexit.report.audit_tables import MAX_COLUMNS
from fairexit.report.calibration_text import place_name, reliability_text
from fairexit.report.cell_labels import label_cells
from fairexit.report.cohort_text import cohort_notes, cohort_tables
from fairexit.report.entanglement import entanglement_table
from fairexit.report.findings import (
    findings,
    left_out_lines,
    permutation_note,
    policy_text,
)
from fairexit.report.glossary import glossary
from fairexit.report.referral_text import referral_table, sets_text
from fairexit.report.shown_gaps import shown_gaps
from fairexit.report.slider import SLIDER_HELPERS
from fairexit.report.templating import render
from fairexit.report.theta_text import choice_lines
from fairexit.report.verdict_rows import any_few, verdict_rows

LONG_TABLE = 15
"""Number of rows above which a table is folded away, so that the page stays short."""

MAX_EXIT_ROWS = 200
"""Number of rows up to which the page has a table of each exit and group."""

MAX_MATRIX = 15
"""With more classes, the most frequent errors are shown instead of confusion matrices."""


def write_audit(
    audit: AuditResults,
    path: Path,
    entanglement: Entanglement | None = None,
    images: Mapping[str, str] | None = None,
) -> None:
    """Write the page.

    Args:
        audit: the results.
        path: the HTML file.
        entanglement: entanglement of the model's features by depth, if it was measured.
        images: id -> address of the image, for the samples that leave first and last.
    """
    write_atomically(path, render_audit(audit, entanglement, images))


def _sets_text(policy: Mapping[str, Any]) -> str:
    sets = Policy.from_dict(policy).sets
    return "" if sets is None else sets_text(sets)


def render_audit(
    audit: AuditResults,
    entanglement: Entanglement | None = None,
    images: Mapping[str, str] | None = None,
) -> str:
    """The page as text; its size does not depend on the number of samples."""
    helpers = {
        "Footnotes": Footnotes,
        "no_notes": Footnotes(),
        "axis_of": axis_of,
        "sort_classes": sort_classes,
        "class_tip": class_tip,
        **SLIDER_HELPERS,
        "errors_of": errors_of,
        "small_matrix": MAX_MATRIX,
        "long_table": LONG_TABLE,
        "max_exit_rows": MAX_EXIT_ROWS,
        "isnan": math.isnan,
        "nan": math.nan,
        "permutation_note": permutation_note,
        "tint": tint,
        "link": link,
        "depths": depths,
        "entanglement_table": entanglement_table,
        "reliability_text": reliability_text,
        "place_name": place_name,
        "num_bins": BINS,
        "referral_table": referral_table,
        "sets_text": _sets_text,
        "units": vocabulary.units(audit.facts),
        "few_note": vocabulary.few_note(audit.facts),
        "mark": vocabulary.mark,
        "shown_gaps": shown_gaps,
        "dropout_text": dropout_text,
        "cohort_notes": cohort_notes,
        "cohort_tables": cohort_tables,
        "max_columns": MAX_COLUMNS,
    }
    values = {
        "audit": audit,
        "facts": audit.facts,
        "answers": headline_lines(audit),
        "cautions": cautions(audit),
        "findings": findings(audit),
        "verdicts": (verdicts := verdict_rows(audit)),
        "any_few": any_few(audit, verdicts),
        "glossary": glossary(audit),
        "left_out": list(left_out_lines(audit.slices.left_out)),
        "next_steps": next_steps(audit),
        "limits": limits(audit),
        "policy": policy_text(audit.facts),
        "choice": [*choice_lines(Policy.from_dict(audit.facts.policy))],
        "averages": AVERAGES,
        "by_images": vocabulary.BY_IMAGES,
        "any_class": vocabulary.ANY_CLASS,
        "entanglement": entanglement,
    }
    return label_cells(render("audit.html", helpers, images=images or {}, **values))


class Footnotes:
    """The footnotes of one table, each with a letter that refers to it."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def mark(self, note: str) -> Markup:
        """The letter of a note as superscript; empty for an empty note."""
        if not note:
            return Markup("")
        letter = self._letters.setdefault(note, _letter(len(self._letters)))
        return Markup(f"<sup>{letter}</sup>")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((letter, note) for note, letter in self._letters.items())


def _letter(k: int) -> str:
    return chr(97 + k % 26) * (1 + k // 26)


def axis_of(*columns: Sequence[float]) -> figures.AxisScale:
    """The axis that contains all values of some columns, and zero."""
    return figures.scale_of(value for column in columns for value in column)


def sort_classes(classes: Sequence[ClassGap], rate: str) -> list[ClassGap]:
    """The gaps of one rate: first those that are more than chance, then by size."""
    order = {MORE_THAN_CHANCE: 0, COULD_BE_CHANCE: 1, NOT_TESTED: 1, TOO_FEW: 2}

    def key(gap: ClassGap) -> tuple[int, float]:
        value = gap.estimate.value
        return order[gap.verdict], math.inf if math.isnan(value) else -value

    return sorted((gap for gap in classes if gap.rate == rate), key=key)


def class_tip(gap: ClassGap) -> str:
    """The rates of a class by group, as text under the pointer; of many groups the extremes."""
    rates = sorted((rate.value, group) for group, rate in gap.rates.items() if rate.n)
    half = MAX_COLUMNS // 2
    shown = rates if len(rates) <= MAX_COLUMNS else [*rates[:half], *rates[-half:]]
    rows = [
        f"{group}: {vocabulary.decimal(value)} ({vocabulary.of(gap.rates[group])})"
        for value, group in shown
    ]
    return "\n".join([gap.name, *rows])


def tint(share: float) -> str:
    """The share of colour in the background of a cell of a confusion matrix."""
    return f"{0 if math.isnan(share) else round(45 * share)}%"


def errors_of(attribute: AttributeAudit, classes: Sequence[str], group: int) -> list[list[str]]:
    """The ten most frequent confusions of a group: true class, answer, number, share."""
    counts = attribute.counts[group]
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    rows = []
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:10].tolist():
        true, answer = divmod(flat, len(counts))
        n = int(wrong[true, answer])
        if n:
            share = n / int(counts[true].sum())
            names = classes[true], classes[answer]
            rows.append([*names, vocabulary.whole(n), vocabulary.percent(share)])
    return rows


def depths(entanglement: Entanglement) -> Iterator[dict[str, Any]]:
    """A figure over depth and its legend, for each label whose entanglement was measured."""
    rows = entanglement.rows[entanglement.rows["position"] != MEAN]
    for of, part in rows.groupby("of", sort=False):
        by_temperature = dict(list(part.groupby("temperature", sort=False)))
        series = {f"{t:g}": line["snnl"].to_numpy() for t, line in by_temperature.items()}
        yield {
            "title": f"Entanglement with {of}, in nats",
            "figure": figures.lines(series, {name: k % 6 for k, name in enumerate(series)}),
            "temperatures": list(series),
            "positions": [
                "final" if name == "f" else f"stage {name}" for name in part["position"].unique()
            ],
        }


def link(address: str) -> Markup:
    """An address as a link if it is a web address, else as text."""
    text = escape(address)
    if address.startswith(("https://", "http://")):
        return Markup(f'<a href="{text}" rel="noreferrer">{text}</a>')
    return text
