"""Sentences about prepared data, from the record of their preparation and the table of images."""

import re
from collections.abc import Iterator
from typing import Any

from fairexit.data.description import MIXED_CLUSTERS, part_names, preparation_notes
from fairexit.data.leaks import clusters_of_two_groups
from fairexit.data.prepared import Prepared

NOT_STATED = "not stated"
MAX_NAMES = 20
"""Empty cells that a sentence names; the tables mark all of them."""


def source_lines(data: Prepared) -> Iterator[str]:
    """Where the data come from, and with which options they were read."""
    info = data.info
    yield f"Name: {data.name}."
    yield f"Address: {info['website'] or NOT_STATED}."
    yield f"Licence: {info['licence'] or NOT_STATED}."
    options = {key: value for key, value in info.get("dataset", {}).items() if is_given(value)}
    if options:
        yield f"Read with {_listed(options)}."


def summary_lines(data: Prepared) -> Iterator[str]:
    """Number and size of the images, classes, attributes and splits."""
    parts = part_names(data.frame).cat.categories
    yield f"{len(data.frame):,} images of {data.size} x {data.size} pixels in RGB."
    yield f"{len(data.classes)} classes: {', '.join(data.classes)}."
    for name, groups in data.attributes.items():
        yield f"Attribute {name}: {', '.join(groups)}."
    yield f"{len(parts)} parts: {', '.join(parts)}."
    named = data.frame["cluster"] != ""
    if named.any():
        count = data.frame.loc[named, "cluster"].nunique()
        yield f"{int(named.sum()):,} images belong to {count:,} clusters (lesions or patients)."
    else:
        yield "No clusters are known, so it is not known which images show the same person."


def preparation_lines(data: Prepared) -> Iterator[str]:
    """How the images were selected, converted and divided."""
    info, options = data.info, data.info["options"]
    size = {"squash": "squashed to a square", "crop": "cut to their middle square"}
    how = size.get(options["fit"], options["fit"])
    yield f"Every image was {how} and resized to {data.size} x {data.size} pixels."
    rest = {
        key: value
        for key, value in options.items()
        if key not in ("size", "fit") and is_given(value)
    }
    yield f"Options of the preparation: {_listed(rest)}."
    yield from (f"{line}." for line in preparation_notes({**_NOTHING_DONE, **info}))


_NOTHING_DONE: dict[str, Any] = {"adjusted": {}, "matched": {}, "unlisted": 0}


def unknown_lines(data: Prepared) -> Iterator[str]:
    """How many images have no known value of an attribute, and what was done with the others."""
    info = data.info
    for name in data.attributes:
        unknown = int(data.frame[name].isna().sum())
        share = f" ({100 * unknown / len(data.frame):.1f} %)" if unknown else ""
        yield f"Unknown {name}: {unknown:,} of {len(data.frame):,} images{share}."
        left_out = info["skipped"].get(f"unknown {name}", 0)
        if left_out:
            yield f"Left out because {name} is unknown: {left_out:,} rows."
    rule = info["options"].get("unknown")
    if rule not in (None, "drop", "keep"):
        yield f"Images whose main attribute was unknown were counted as '{rule}'."


def bias_lines(data: Prepared) -> Iterator[str]:
    """Cells of class and group without images, and groups that are rare in a split."""
    parts = part_names(data.frame)
    for name, groups in data.attributes.items():
        for part in parts.cat.categories:
            rows = data.frame[(parts == part).to_numpy()]
            counts = rows[name].value_counts()
            known = int(counts.sum())
            if not known:
                continue
            shares = (f"{g} {100 * int(counts.get(g, 0)) / known:.1f} %" for g in groups)
            yield f"Groups of {name} in {part}: {', '.join(shares)}."
            cells = set(zip(rows["label"], rows[name], strict=True))
            present = [c for c in data.classes if (rows["label"] == c).any()]
            empty = [f"{c} ({g})" for c in present for g in groups if (c, g) not in cells]
            if empty:
                more = len(empty) - MAX_NAMES
                rest = f" and {more:,} more" if more > 0 else ""
                yield f"No image in {part} of: {', '.join(empty[:MAX_NAMES])}{rest}."


def leak_lines(data: Prepared) -> Iterator[str]:
    """What each pair of splits has in common; pairs that share nothing are left out."""
    for pair, leak in data.info["leaks"].items():
        shared = {k: n for k, n in leak.items() if k != "share" and n}
        if shared:
            parts = (f"{key.replace('_', ' ')} {n:,}" for key, n in shared.items())
            yield f"Shared by {pair.replace('-', ' and ')}: {', '.join(parts)}."


def warning_lines(data: Prepared) -> Iterator[str]:
    """What the preparation noticed; numbers of clusters in place of their names."""
    for name in data.attributes:
        mixed = clusters_of_two_groups(data.frame, name)
        if mixed:
            yield f"{len(mixed):,} clusters have images of more than one {name}."
    for line in data.info.get("warnings", []):
        if not re.match(MIXED_CLUSTERS, line):
            yield f"{line}."


def planted_lines(data: Prepared) -> Iterator[str]:
    """The cause of unfairness that was planted on purpose; none for data as they were."""
    recipe = data.info.get("planted")
    if not recipe:
        return
    yield (
        f"The cause '{recipe['cause']}' was planted with strength {recipe['strength']:g} (seed "
        f"{recipe['seed']}): group '{recipe['affected']}' of {recipe['attribute']}."
    )
    if recipe.get("mark"):
        yield f"The images of that group have the mark '{recipe['mark']}'."
    for change, counts in recipe["counts"].items():
        if any(counts.values()):
            yield f"Images {change.replace('_', ' ')}: {_listed(counts)}."
    yield f"The data it was planted into: {recipe['source']['name']}."


def is_given(value: Any) -> bool:
    """Whether an option has a value: not None, False or empty."""
    # 0 is a value, though it equals False.
    return value is not None and value is not False and value not in ("", [], (), {})


def _listed(values: dict[str, Any]) -> str:
    def shown(value: Any) -> str:
        if isinstance(value, dict):
            return " ".join(f"{key}={item}" for key, item in value.items())
        return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return ", ".join(f"{key} {shown(value)}" for key, value in values.items())
