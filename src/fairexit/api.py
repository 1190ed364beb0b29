"""`fairexit.audit`: the audit of tables in memory, files and runs, for notebooks and scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairexit.auditing.audit import audit_sources
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source, open_source, source_of
from fairexit.errors import UserError, short
from fairexit.evaluation.policy import Policy
from fairexit.predictions.arrays import from_arrays, from_frame
from fairexit.predictions.arrow import Columns
from fairexit.predictions.files import Predictions
from fairexit.report.audit_report import AuditReport

if TYPE_CHECKING:
    import pandas as pd


def audit(
    table: "str | Path | Predictions | pd.DataFrame | None" = None,
    *,
    label: str | ArrayLike = "label",
    prediction: str | ArrayLike | None = None,
    probabilities: str | ArrayLike | None = None,
    classes: Sequence[Any] | None = None,
    groups: str | Sequence[str] | Mapping[str, ArrayLike] = (),
    cluster: str | ArrayLike | None = None,
    ids: str | ArrayLike | None = None,
    split: str = "test",
    baseline: "str | Path | Predictions | pd.DataFrame | ArrayLike | None" = None,
    positive: str | Sequence[str] = (),
    intersections: bool = False,
    threshold: str | float | None = None,
    name: str = "the model",
    settings: AuditSettings | None = None,
) -> AuditReport:
    """Audit anybody's predictions: gaps between groups, with intervals and what chance gives.

    Either a table with names of columns:

        fairexit.audit(frame, label="y", prediction="answer", groups=["sex"], cluster="patient")

    or arrays:

        fairexit.audit(label=y, probabilities=model.predict_proba(x), classes=model.classes_,
                       groups={"sex": sex})

    Args:
        table: a run's folder, a file, `Predictions` or a frame; None if arrays are given.
        label: column or array of true classes.
        prediction: column or array of predicted classes.
        probabilities: what the names of the probability columns begin with (`p/` by default), or
            an array (N, C).
        classes: class names in the order of the probabilities.
        groups: names of the sensitive attributes, or name -> array.
        cluster: column or array of lesions or patients.
        ids: column or array of unique names.
        split: the split that is measured, if the rows name one.
        baseline: another model's predictions of the same samples, in the same form as `table`, or
            an array of answers (N,) or probabilities (N, C).
        positive: classes to read clinically.
        intersections: also audit the attributes crossed with each other.
        threshold: theta of a model with several exits, `auto` or `policy`.
        name: of the model.
        settings: draws, permutations, seed and level.
    Returns:
        The findings; shown as a table in a notebook.
    Raises:
        UserError: bad input, in one line.
    """
    if table is not None and isinstance(groups, Mapping):
        raise UserError("a table is given, so 'groups' must name its columns, as in groups=['sex']")
    wanted = [groups] if isinstance(groups, str) else list(groups)
    if table is None:
        source = _of_arrays(name, label, prediction, probabilities, classes, groups, cluster, ids)
    else:
        columns = _columns(label, prediction, probabilities, cluster, ids)
        source = _of_table(table, name, columns, wanted, classes, split, threshold)
    others = []
    if baseline is not None:
        if isinstance(baseline, str | Path | Predictions) or hasattr(baseline, "columns"):
            if table is None:
                raise UserError(
                    "the model is given as arrays, so the baseline must be an array too"
                )
            other = _of_table(baseline, "the baseline", columns, wanted, classes, split, threshold)
        else:
            other = _in_its_place(source, np.asarray(baseline))
        others.append(other)
    results = audit_sources(
        [source],
        wanted,
        baselines=others,
        intersections=intersections,
        positives=[positive] if isinstance(positive, str) else positive,
        settings=settings,
    )
    return AuditReport.of(results)


def _columns(label: Any, prediction: Any, probabilities: Any, cluster: Any, ids: Any) -> Columns:
    given = {
        "label": label,
        "prediction": prediction,
        "prob_prefix": probabilities,
        "cluster": cluster,
        "id": ids,
    }
    named = {key: value for key, value in given.items() if value is not None}
    for key, value in named.items():
        if not isinstance(value, str):
            raise UserError(
                f"a table is given, so '{key}' must be the name of a column, not an array"
            )
    return Columns(**named)


def _of_table(
    table: Any,
    name: str,
    columns: Columns,
    groups: Sequence[str],
    classes: Sequence[Any] | None,
    split: str,
    threshold: str | float | None,
) -> Source:
    if isinstance(table, str | Path):
        return open_source(Path(table), groups, split=split, threshold=threshold, columns=columns)
    left_out: dict[str, str] = {}
    if not isinstance(table, Predictions):
        table, left_out = from_frame(table, columns, groups, classes)
    source = source_of(
        table, name, groups, split=split, threshold=threshold, cluster_name=columns.cluster
    )
    return replace(source, left_out=left_out)


def _of_arrays(
    name: str,
    label: Any,
    prediction: Any,
    probabilities: Any,
    classes: Any,
    groups: Any,
    cluster: Any,
    ids: Any,
) -> Source:
    if not isinstance(groups, Mapping):
        raise UserError(
            "no table is given, so 'groups' must hold arrays, as in groups={'sex': sex}"
        )
    for key, value in {"label": label, "prediction": prediction, "cluster": cluster}.items():
        if isinstance(value, str):
            raise UserError(f"{key}='{short(value)}' names a column, but no table is given")
    predictions = from_arrays(
        label,
        prediction=prediction,
        probabilities=probabilities,
        classes=classes,
        groups=groups,
        clusters=cluster,
        ids=ids,
    )
    return source_of(predictions, name)


def _in_its_place(source: Source, answers: NDArray[Any]) -> Source:
    """The source with another model's answers or probabilities for the same rows."""
    p = source.predictions
    other = from_arrays(
        np.array(p.classes)[p.labels],
        prediction=answers if answers.ndim == 1 else None,
        probabilities=None if answers.ndim == 1 else answers,
        classes=p.classes,
        ids=p.ids,
    )
    rows = replace(p, probabilities=other.probabilities, exit_names=("f",), hard=other.hard)
    return Source("the baseline", rows, Policy(None, rule="single exit"))
