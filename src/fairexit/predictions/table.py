"""Predictions from the columns of a table, in a file or in memory."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit, softmax

from fairexit.errors import UserError, nearest, option, short
from fairexit.predictions.build import build
from fairexit.predictions.data import Predictions
from fairexit.predictions.parts import Parts
from fairexit.predictions.reading import MAX_VALUES, Reading
from fairexit.tabular.cells import coded, is_scalar, numbers_of
from fairexit.tabular.forms import TableFile
from fairexit.tabular.names import (
    clean,
    in_order,
    key,
    match,
    missing_classes,
    reconcile,
)

METADATA = b"fairexit"


def from_table(
    table: TableFile, reading: Reading, groups: Sequence[str] | None = None, *, only: bool = False
) -> Predictions:
    """Predictions of a table.

    Args:
        table: the table.
        reading: the names of its columns and what their cells mean.
        groups: attributes to use, whatever they hold.
        only: whether no other attribute is read.
    Raises:
        UserError: a column is missing, or a cell is wrong.
    """
    names = table.names
    if not names:
        raise UserError("there are no columns")
    reading, notes = resolve_columns(names, reading)
    reading.check(names)
    for name in groups or ():
        if name not in names:
            candidates = [other for other in names if reading.may_be_attribute(other)]
            raise UserError(
                f"there is no column of an attribute '{short(name)}'; {nearest(name, candidates)}"
            )
    ours = _metadata(table)
    by_exit = _probability_columns(table, reading)
    used = {column for columns in by_exit.values() for column in columns.values()}
    present = [name for name in names if reading.may_be_attribute(name) and name not in used]
    for name in groups or ():
        if name not in present:
            raise UserError(
                f"column '{short(name)}' has another meaning and cannot be an attribute; "
                f"{nearest(name, present)}"
            )
    wanted = [*(groups or ()), *reading.bins, *reading.merge]
    left_out: dict[str, str] = {}
    chosen = (
        [name for name in present if name in wanted]
        if only
        else _few(table, present, wanted, left_out)
    )
    meanings = {"labels": reading.label, "clusters": reading.cluster, "ids": reading.id}
    meanings["splits"] = reading.split
    if reading.prediction not in used:
        meanings["answers"] = reading.prediction
    meanings = {part: name for part, name in meanings.items() if name in names}
    # In one pass, since a file of text is parsed whole for each.
    cells = table.read(list(dict.fromkeys([*meanings.values(), *chosen])))
    parts = Parts(
        **{part: cells[name] for part, name in meanings.items()},
        attributes={name: cells[name] for name in chosen},
        notes=(*table.notes, *notes, *table.row_notes(len(cells))),
        classes=reading.classes,
        groups=ours.get("groups", {}),
        exact=bool(ours),
        left_out=left_out,
    )
    if not len(cells):
        raise UserError("there are no rows")
    _add_probabilities(parts, table, reading, by_exit)
    return build(parts, reading, wanted)


def resolve_columns(names: Sequence[str], reading: Reading) -> tuple[Reading, tuple[str, ...]]:
    """The reading with columns such as `Split` where the caller does not name `split`."""
    forms: dict[str, Any] = {}
    for meaning, name in Reading().columns.items():
        same = [other for other in names if key(other) == name]
        taken = getattr(reading, meaning) != name or name in names
        if len(same) == 1 and not taken and same[0] not in reading.columns.values():
            forms[meaning] = same[0]
    notes = tuple(f"column '{short(form)}' is read as '{name}'" for name, form in forms.items())
    return replace(reading, **forms), notes


def _metadata(table: TableFile) -> dict[str, Any]:
    """What a file of ours says about itself; empty for other tables."""
    content = table.metadata().get(METADATA)
    if content is None:
        return {}
    try:
        stored = json.loads(content)
        groups = stored["groups"]
        good = all(
            isinstance(values, list) and all(isinstance(value, str) for value in values)
            for values in groups.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise UserError("the file's description of its groups is damaged; predict again")
    return {"groups": groups}


def _few(
    table: TableFile, present: Sequence[str], wanted: Sequence[str], left_out: dict[str, str]
) -> list[str]:
    """The columns that may be attributes, judged by the first rows; `left_out` gets the others."""
    if not present:
        return []
    sample = table.sample(present)
    chosen = []
    for name in present:
        column = sample[name]
        if name in wanted:
            chosen.append(name)
        elif not is_scalar(column.type):
            left_out[name] = "its cells are not single values"
        elif len(column.unique()) > MAX_VALUES:
            left_out[name] = f"more than {MAX_VALUES} values"
        else:
            chosen.append(name)
    return chosen


def _probability_columns(table: TableFile, reading: Reading) -> dict[str, dict[str, str]]:
    """Exit -> class -> column of its probabilities; empty for a score or for answers alone.

    Raises:
        UserError: there are neither probabilities nor answers, the final exit has none, or the
            exits have different classes.
    """
    if reading.score is not None:
        return {}
    if reading.prob_prefix == "":
        return {"f": _class_columns(table, reading)}
    by_exit = reading.probability_columns(table.names)
    if not by_exit and reading.prediction not in table.names:
        raise UserError(
            f"there are no columns 'p/<class>' and no column '{short(reading.prediction)}'; "
            f"name the column of answers with {option('prediction')}, what the names of "
            f"probability columns begin with as {option('prob_prefix')}, or the column of one "
            f"probability as {option('score')}"
        )
    if by_exit and "f" not in by_exit:
        raise UserError("there are no columns 'pf/<class>' of the final exit")
    for exit_, columns in by_exit.items():
        if columns.keys() != by_exit["f"].keys():
            raise UserError(f"columns 'p{exit_}/' and 'pf/' have different classes")
    return by_exit


def _add_probabilities(
    parts: Parts, table: TableFile, reading: Reading, by_exit: dict[str, dict[str, str]]
) -> None:
    """Add the probabilities and their classes to the parts, if there are any."""
    if reading.score is not None:
        column = table.read([reading.score], [reading.score])[reading.score]
        add_score(parts, numbers_of(column, reading.score), reading)
    elif by_exit:
        classes = list(by_exit["f"])
        parts.exits = tuple(sorted(by_exit, key=lambda name: (name == "f", name.zfill(9))))
        columns_of = [[by_exit[exit_][class_] for class_ in classes] for exit_ in parts.exits]
        parts.probabilities = _stack(table, columns_of, len(parts.labels), reading)
        if not parts.exact:
            reconcile({"class": []}, classes)  # no class is there twice, in two forms
        parts.classes = classes if parts.exact else [clean(name) for name in classes]


def _stack(
    table: TableFile, columns: Sequence[Sequence[str]], n: int, reading: Reading
) -> NDArray[np.float32]:
    """Columns of numbers, named by exit and class, as probabilities, (N, E, C).

    They are read in batches of rows, because the whole table in double precision, or a copy of it
    for each exit, would take several times the memory of the result.
    """
    result = np.empty((n, len(columns), len(columns[0])), np.float32)
    start = 0
    for batch in table.batches([name for names in columns for name in names]):
        values = np.empty((len(batch), *result.shape[1:]))
        for e, names in enumerate(columns):
            for c, name in enumerate(names):
                values[:, e, c] = numbers_of(batch[name], name)
        result[start : start + len(batch)] = softmax(values, axis=-1) if reading.logits else values
        start += len(batch)
    pa.default_memory_pool().release_unused()  # what Arrow keeps is about as large as the result
    return result


def _class_columns(table: TableFile, reading: Reading) -> dict[str, str]:
    """Class -> the column that is called like it."""
    classes = reading.classes
    if classes is None:
        _, cells = coded(table.read([reading.label])[reading.label], reading.label)
        missing = missing_classes(cells)
        classes = reconcile({reading.label: [c for c in cells if c not in missing]}).names
    columns = {}
    for name in classes:
        same = [c for c in table.names if key(c) == key(name) and c not in reading.columns.values()]
        if len(same) != 1:
            how = "no column is" if not same else "several columns are"
            raise UserError(
                f"{how} called like the class '{short(name)}'; {nearest(name, table.names)}; name "
                f"each with {option('prob')}"
            )
        columns[name] = same[0]
    return columns


def add_score(parts: Parts, scores: NDArray[np.float64], reading: Reading) -> None:
    """Add the probabilities of two classes, from that of the positive one.

    Answers that the parts have are kept, unless the reading has a cut; otherwise they are made.

    Args:
        parts: the table, with its labels.
        scores: the probability, or the logit, of the positive class, (N,); NaN where it is missing.
        reading: the positive class, the cut, and whether the scores are logits.
    Raises:
        UserError: a score is no probability, or the labels do not have the positive class.
    """
    if reading.logits:
        if ((scores >= 0) & (scores <= 1) | np.isnan(scores)).all():
            raise UserError(
                f"all scores are between 0 and 1, as probabilities are; leave out "
                f"{option('logits')}"
            )
        positive, negative = expit(scores), expit(-scores)
    else:
        outside = (scores < 0) | (scores > 1)
        if outside.any():
            row = int(outside.argmax())
            raise UserError(
                f"row {row + 1}: the score {scores[row]:.6g} is not between 0 and 1; if scores are "
                f"logits, say so with {option('logits')}"
            )
        positive, negative = scores, 1 - scores
    name = str(reading.positive)
    codes, cells = coded(parts.labels, reading.label)
    missing = missing_classes(cells)
    known = [cell for cell in cells if cell not in missing]
    forms = reconcile({reading.label: [*known, name]}, booleans=True)
    yes = forms.names[int(forms.indices[0][-1])]
    others = [other for other in forms.names if other != yes]
    if match(name, reconcile({reading.label: known}).names) is None and len(others) != 1:
        raise UserError(
            f"{option('positive')} is '{short(name)}', which is not a label; "
            f"{nearest(name, in_order(others))}"
        )
    if len(others) > 1:
        rest = f"not {yes}"
        parts.notes = (*parts.notes, f"every label but '{short(yes)}' is read as '{short(rest)}'")
        indices = forms.indices[0][:-1].tolist()
        new = {
            cell: yes if forms.names[i] == yes else rest
            for cell, i in zip(known, indices, strict=True)
        }
        lookup = pa.array([*(new.get(cell) for cell in cells), None], pa.string())
        parts.labels = pa.chunked_array([lookup.take(pa.array(codes % len(lookup)))])
        others = [rest]
    if not others:
        raise UserError(f"every label is '{short(yes)}'; at least two classes are needed")
    parts.classes = [others[0], yes]
    parts.probabilities = np.stack([negative, positive], 1).astype(np.float32)[:, None]
    if parts.answers is not None:
        if reading.cut is None:
            return
        note = (
            f"the answers are made by the cut; the column '{short(reading.prediction)}' is unused"
        )
        parts.notes = (*parts.notes, note)
    cut = 0.5 if reading.cut is None else reading.cut
    chosen = np.where(np.isnan(scores), 2, positive >= cut).astype(np.int64)
    values = pa.array([*parts.classes, None], pa.string())
    parts.answers = pa.chunked_array([values.take(pa.array(chosen))])
