"""The data card: what the record of prepared data says, and what it does not."""

from collections.abc import Sequence

import pandas as pd

from fairexit.cluster_index import cluster_index
from fairexit.data.description import part_names
from fairexit.data.prepared import Prepared
from fairexit.data.records import SPLITS
from fairexit.documentation import data_facts as facts
from fairexit.report.document import Section, document
from fairexit.report.evaluation_tables import cell_table, leak_table
from fairexit.tables import Table

INTRODUCTION = (
    "This card holds what the record of the prepared data says and what can be counted in it. What "
    "only those who collected the data can say is listed at the end."
)
LEFT_TO_AUTHORS = (
    "Why, by whom and with which funds the data were collected.",
    "Where and when: institutions, countries, period, devices and protocol.",
    "Who was eligible, how people were sampled, and who is missing.",
    "Approval by an ethics committee, consent, and how the images were de-identified.",
    "Who recorded the attributes of people, and whether they were self-reported.",
    "Who labelled the images, from which reference standard, and how well raters agreed.",
    "Uses for which the data are not suitable.",
    "Who maintains the data, and how errors are reported.",
    "Version, creators, date of publication and citation, also for the Croissant description.",
)


def data_card(data: Prepared, fold: int | None = None) -> str:
    """The card in Markdown.

    Args:
        data: the prepared data.
        fold: the test fold of the run, for data that are divided into folds.
    """
    planted = list(facts.planted_lines(data))
    leaks = list(facts.leak_lines(data)) or ["The splits share no cluster, file or near-duplicate."]
    warnings = list(facts.warning_lines(data)) or ["The preparation noticed nothing else."]
    cells = [cell_table(data, name, fold) for name in data.attributes]
    checksums = [f"{file}: {digest}." for file, digest in data.info["checksums"].items()]
    sections = [
        Section("Summary", [*facts.summary_lines(data)]),
        Section("Source", [*facts.source_lines(data)]),
        Section("Classes and groups", [*facts.bias_lines(data)], cells),
        Section("Splits", [], [_split_table(data, fold)]),
        Section("Unknown values", [*facts.unknown_lines(data)], [_unknown_table(data)]),
        Section("Left out", *_left_out(data)),
        Section("Leaks", leaks, [leak_table(data.info["leaks"])]),
        Section("Preparation", [*facts.preparation_lines(data)]),
        *([Section("Planted cause", planted)] if planted else []),
        Section("Warnings", warnings),
        Section("Checksums", [*checksums, "The checksum of the records is that of their rows."]),
        Section("Left to the authors", LEFT_TO_AUTHORS),
    ]
    return document(f"Data card of {data.name}", [INTRODUCTION], sections)


def _split_table(data: Prepared, fold: int | None) -> Table:
    """Images and clusters of each split, or of each fold."""
    if fold is None:
        parts = part_names(data.frame)
    else:
        parts = pd.Series(pd.Categorical(data.splits(fold), SPLITS))
    clusters = cluster_index(data.frame["cluster"])
    rows = []
    for part in parts.cat.categories:
        mask = (parts == part).to_numpy()
        share = f"{100 * mask.mean():.1f} %"
        rows.append([part, f"{mask.sum():,}", share, f"{len(set(clusters[mask])):,}"])
    return Table("Images and clusters of each part", ["Part", "Images", "Share", "Clusters"], rows)


def _unknown_table(data: Prepared) -> Table:
    """Images without a known value, by attribute and part."""
    parts = part_names(data.frame)
    names = list(parts.cat.categories)
    rows = []
    for attribute in data.attributes:
        unknown = data.frame[attribute].isna().to_numpy()
        masks = [(parts == part).to_numpy() for part in names]
        rows.append([attribute, *(_portion(unknown[mask]) for mask in masks)])
    return Table("Images whose value is unknown", ["Attribute", *names], rows)


def _portion(unknown: Sequence[bool]) -> str:
    count = sum(map(bool, unknown))
    return f"{count:,} ({100 * count / len(unknown):.1f} %)" if len(unknown) else "-"


def _left_out(data: Prepared) -> tuple[list[str], list[Table]]:
    """The rows that were left out, by reason, and by class where it is known."""
    skipped, by_class = data.info["skipped"], data.info.get("left_out", {})
    if not skipped:
        return ["No row was left out when the data were prepared."], []
    rows = []
    for reason, count in skipped.items():
        classes = (f"{name} {n:,}" for name, n in by_class.get(reason, {}).items())
        rows.append([reason, ", ".join(classes) or "-", f"{count:,}"])
    table = Table("Rows left out", ["Reason", "By class, where it is known", "Rows"], rows, 2)
    return [f"{sum(skipped.values()):,} rows were left out when the data were prepared."], [table]
