"""Checks of later tables against BASE and each other."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from fairexit.auditing.cohorts import are_numbers
from fairexit.auditing.source import Source
from fairexit.errors import UserError, short
from fairexit.monitoring.new_tables import NewTable


def check_new(base: Source, tables: Sequence[NewTable]) -> list[str]:
    """Notes about the clusters of later tables.

    Raises:
        UserError: classes are not those of BASE, an image is in two tables, or only some of the
            tables have labels.
    """
    for first, second in pairwise(tables):
        if first.labelled != second.labelled:
            bare, other = (second, first) if first.labelled else (first, second)
            raise UserError(
                f"{bare.source.name} has no labels, but {other.source.name} has; give tables with "
                "labels apart from tables without"
            )
    notes = []
    sources = [base, *(table.source for table in tables)]
    _check_ids(sources)
    for source in sources[1:]:
        p, ref = source.predictions, base.predictions
        different = sorted(set(p.classes) ^ set(ref.classes))
        if different:
            owner = source if different[0] in p.classes else base
            raise UserError(
                f"{source.name} and {base.name} have different classes: only {owner.name} has "
                f"'{short(different[0])}'"
            )
        if bool(source.cluster_name) != bool(base.cluster_name):
            without = base if source.cluster_name else source
            notes.append(f"{without.name} has no clusters, so each of its images counts as one")
        shared = np.setdiff1d(np.intersect1d(p.clusters, ref.clusters), [""])
        if len(shared):
            notes.append(
                f"{len(shared)} clusters are in both {base.name} and {source.name}, such as "
                f"'{short(shared[0])}'; if they are the same people, the tests are not valid"
            )
    return notes


def new_groups(base: Source, tables: Sequence[NewTable], attribute: str) -> list[str]:
    """Notes about groups that BASE does not have."""
    known = base.predictions.group_names[attribute]
    notes = []
    for table in tables:
        p = table.source.predictions
        for g, name in enumerate(p.group_names[attribute]):
            n = int((p.attributes[attribute] == g).sum())
            if name not in known and n:
                notes.append(
                    f"{n} images of {table.source.name} are of the group '{short(name)}' of "
                    f"{attribute}, which {base.name} does not have; they count in no group"
                )
    return notes


def _check_ids(sources: Sequence[Source]) -> None:
    given = [s for s in sources if not are_numbers(s.predictions.ids)]
    ids = pd.Series([id_ for s in given for id_ in s.predictions.ids.tolist()], dtype=object)
    twice = ids.duplicated().to_numpy()
    if not twice.any():
        return
    shared = ids[twice.argmax()]
    first, second = [s.name for s in given if shared in s.predictions.ids][:2]
    number = int(twice.sum())
    raise UserError(
        f"{number} image{'s are' if number > 1 else ' is'} in several tables, such as "
        f"'{short(shared)}' in {first} and {second}; give every image once"
    )
