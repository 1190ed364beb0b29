"""The functions that judge answers: evaluate, audit and monitor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fairexit.api.common import Plugins
from fairexit.errors import UserError
from fairexit.plugins import load_plugins
from fairexit.runs import Run, open_run

if TYPE_CHECKING:
    from fairexit.api.common import Table
    from fairexit.auditing.settings import AuditSettings
    from fairexit.evaluation.assess import Assessment
    from fairexit.evaluation.risk import Risk
    from fairexit.evaluation.theta import Theta
    from fairexit.report.audit_report import AuditReport
    from fairexit.report.monitor_report import MonitorReport


def evaluate(
    source: "Table | Run",
    *,
    split: str = "test",
    group: str | None = None,
    threshold: "str | Theta" = "auto",
    per_exit: bool = False,
    rule: str = "f1",
    tolerance: float = 0.01,
    grid: Sequence[float] | None = None,
    fallback: Literal["final", "most_confident"] = "final",
    confidence_measure: Literal["max_probability", "margin", "entropy"] = "max_probability",
    risk: "Risk | Mapping[str, Any] | None" = None,
    calibrate: bool = False,
    coverage: float | None = None,
    empty: Literal["exclude", "zero"] = "exclude",
    store: bool = True,
    plugins: Plugins = (),
    **table: Any,
) -> "Assessment":
    """Measure accuracy and fairness of a run or of a table of predictions.

    For a run, `metrics.json` is written into its folder, and a threshold for the run's own
    attribute, chosen on validation or set by hand, becomes its policy in `policy.json`.

        fairexit.evaluate("runs/me").evaluation.metrics["f1"]
        fairexit.evaluate("runs/me", threshold=0.9, store=False)
        fairexit.evaluate("runs/me", rule="risk", risk={"epsilon": 0.02})

    Args:
        source: a predicted run or its folder, a file of predictions, a data frame, or
            `Predictions`.
        split: the split that is measured; a table without a column of splits is measured whole.
        group: the sensitive attribute; by default the run's own, or the only one.
        threshold: `auto` (chosen on validation), `policy` (the run's stored one), a number, or a
            sequence with one number for each internal exit, None where no sample leaves.
        per_exit: whether `auto` searches a threshold for each internal exit; the search is greedy,
            see `fairexit.evaluation.per_exit.search_per_exit`.
        rule: how `auto` chooses: "f1", the cheapest threshold whose macro F1 is within the
            tolerance of the best, unless another is shown to be fairer; or a metric such as
            "eodd", see `fairexit.evaluation.choose.choose_theta`; or "risk", the cheapest threshold
            about which a promise can be made.
        tolerance: loss of macro F1 that the rule allows.
        grid: the thresholds that `auto` tries; by default the paper's, and for the rule "risk" a
            finer one.
        fallback: which exit answers when none reaches the threshold.
        confidence_measure: what is compared with the threshold: the largest probability, the
            largest minus the second (`margin`), or one minus the normalised entropy (`entropy`).
        risk: the promise of the rule "risk": `loss`, `epsilon`, `delta`, `bound` and `every_group`
            of `fairexit.evaluation.risk.Risk`.
        calibrate: whether the policy gets a temperature for each exit, fitted on validation before
            the threshold is chosen; by default it has none.
        coverage: the probability with which sets of classes hold the true one in every group; the
            policy then has them, and `predict` tells whom to refer. By default there are none.
        empty: whether a rate without samples is left out of the gaps, or counts as 0.
        store: whether the files of a run are written.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        table: how a table is read: `label`, `prediction`, `prob_prefix`, `score`, `positive`,
            `cut`, `bins`, `merge` and the others of `fairexit.predictions.reading.Reading`. For
            a run, `bins`, `merge`, `min_group` and `unknown_values` apply, and nothing is stored.
    Raises:
        UserError: no such run or file, a threshold is to be chosen without validation rows, or
            arguments that do not fit each other.
    """
    load_plugins(plugins)
    from fairexit.config_files import build_section
    from fairexit.evaluation.assess import assess
    from fairexit.evaluation.choice import Choice
    from fairexit.evaluation.risk import Risk
    from fairexit.predictions.reading import Reading

    choice = Choice(
        threshold=threshold if isinstance(threshold, str | float | int) else tuple(threshold),
        per_exit=per_exit,
        grid=None if grid is None else tuple(grid),
        rule=rule,
        tolerance=tolerance,
        fallback=fallback,
        confidence_measure=confidence_measure,
        risk=build_section("", Risk, dict(risk)) if isinstance(risk, Mapping) else risk,
        calibrate=calibrate,
    )
    predictions = source.path if isinstance(source, Run) else source
    how = build_section("", Reading, table)
    if hasattr(predictions, "columns") or hasattr(predictions, "column_names"):
        from fairexit.predictions.arrays import from_frame

        groups = () if group is None else (group,)
        predictions = from_frame(predictions, how, groups, only=bool(groups))
    return assess(
        Path(predictions) if isinstance(predictions, str) else predictions,
        split=split,
        group=group,
        choice=choice,
        empty=empty,
        reading=how,
        store=store,
        coverage=coverage,
    )


def audit(
    table: "Table | Sequence[Table] | None" = None,
    *,
    label: str | ArrayLike | None = None,
    prediction: str | ArrayLike | None = None,
    probabilities: str | ArrayLike | None = None,
    classes: Sequence[Any] | None = None,
    groups: str | Sequence[str] | Mapping[str, ArrayLike] = (),
    cluster: str | ArrayLike | None = None,
    ids: str | ArrayLike | None = None,
    split: str = "test",
    baseline: "Table | Sequence[Table] | ArrayLike | None" = None,
    cohort: "Table | None" = None,
    positive: str | int | Sequence[str | int] = (),
    intersections: bool = False,
    threshold: "str | Theta | None" = None,
    fallback: Literal["final", "most_confident"] = "final",
    confidence_measure: Literal["max_probability", "margin", "entropy"] = "max_probability",
    policy: str | Path | None = None,
    name: str = "the model",
    title: str = "",
    settings: "AuditSettings | None" = None,
    plugins: Plugins = (),
    **reading: Any,
) -> "AuditReport":
    """Audit predictions: gaps between groups, with intervals and permutation tests.

    Either a table with names of columns:

        fairexit.audit(frame, label="y", prediction="answer", groups=["sex"], cluster="patient")

    or arrays:

        fairexit.audit(label=y, probabilities=model.predict_proba(x), classes=model.classes_,
                       groups={"sex": sex})

    Args:
        table: a run's folder, a file, `Predictions` or a frame; or a list of these, one for each
            training seed of one model, of which the first is audited in full; None if arrays are
            given.
        label: column (by default `label`) or array of true classes.
        prediction: column (by default `prediction`) or array of predicted classes.
        probabilities: prefix of the probability columns (`p/` by default), or an array (N, C).
            For two classes, `score` (a column or array) is the probability of `positive` alone.
        classes: class names in the order of the probabilities.
        groups: names of the sensitive attributes, or name -> array.
        cluster: column or array that identifies the lesion or patient.
        ids: column or array of unique names of the samples.
        split: the split that is measured, if the table has a column of splits.
        baseline: another model's predictions of the same samples, in the same form as `table`, or
            an array of predicted classes (N,) or probabilities (N, C).
        cohort: the same model's predictions of other samples, such as another hospital's, in the
            same form as `table`; their gaps are compared.
        positive: classes that count as disease: the report leads with them, and their sensitivity
            and specificity are measured. Of two classes one is taken by default, see the report.
        intersections: also audit the attributes crossed with each other.
        threshold: for a model with several exits: `auto`, `policy`, a number, or one number for
            each internal exit; by default `policy` where one is stored, else `auto`.
        fallback: which exit answers when none reaches a threshold that is given or chosen.
        confidence_measure: what is compared with a threshold that is given or chosen, as for
            `fairexit.evaluate`.
        policy: folder of a run or its `policy.json`, for a table of that run's predictions; it
            takes the place of threshold, fallback and confidence measure.
        name: name of the model in the report.
        title: title of the report; by default the name of the model.
        settings: numbers of resamples and permutations, seed and confidence level.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        reading: more about how tables are read: `score`, `cut`, `prob`, `logits`, `drop_missing`,
            `bins`, `merge`, `min_group` and `unknown_values`, as in
            `fairexit.predictions.reading.Reading`.
    Returns:
        The report; a notebook shows it as a table.
    Raises:
        UserError: bad input.
    """
    load_plugins(plugins)
    from fairexit.auditing import inputs
    from fairexit.auditing.audit import audit_sources
    from fairexit.config_files import build_section
    from fairexit.evaluation.choice import Choice
    from fairexit.evaluation.policy import Policy
    from fairexit.predictions.reading import Reading
    from fairexit.report.audit_report import AuditReport

    if table is not None and isinstance(groups, Mapping):
        raise UserError("a table is given, so 'groups' must name its columns, as in groups=['sex']")
    if cohort is not None and table is None:
        raise UserError("the model is given as arrays; to compare a cohort, give both as tables")
    attributes = [groups] if isinstance(groups, str) else list(groups)
    many = isinstance(table, list | tuple)
    if isinstance(classes, str):
        raise UserError(f"'classes' is the text {classes!r}; give a list of names")
    positives = [positive] if isinstance(positive, str | int) else list(positive)
    score = reading.pop("score", None)
    how = {"classes": None if classes is None else list(map(str, classes)), **reading}
    if score is not None and positives:
        how["positive"] = str(positives[0])
    if table is None:
        if score is not None:
            how["score"] = "score"
        arrays = {"prediction": prediction, "probabilities": probabilities, "score": score}
        arrays |= {"cluster": cluster, "ids": ids, "reading": build_section("", Reading, how)}
        sources = [inputs.source_of_arrays(name, label, groups=groups, **arrays)]
    else:
        named = inputs.named_columns(
            label=label,
            prediction=prediction,
            prob_prefix=probabilities,
            cluster=cluster,
            id=ids,
            score=score,
        )
        reader = inputs.TableReader(
            reading=build_section("", Reading, how | named),
            groups=attributes,
            split=split,
            choice=Choice(
                threshold,
                fallback=fallback,
                confidence_measure=confidence_measure,
                policy=None if policy is None else Policy.load(_policy_file(policy)),
            ),
        )
        sources = [reader.open(seed, name) for seed in _as_list(table, many)]
    baselines = []
    for predictions in _as_list(baseline, many):
        if not inputs.is_table(predictions):
            baselines.append(inputs.with_answers(sources[0], np.asarray(predictions)))
        elif table is None:
            raise UserError("the model is given as arrays, so the baseline must be an array too")
        else:
            baselines.append(reader.open(predictions, "the baseline"))
    results = audit_sources(
        sources,
        attributes,
        baselines=baselines,
        cohort=None if cohort is None else reader.open(cohort, "the other cohort"),
        intersections=intersections,
        positives=[str(name) for name in positives],
        title=title,
        settings=settings,
    )
    return AuditReport.of(results)


def monitor(
    base: "Table",
    new: "Table | Sequence[Table]",
    *,
    label: str | None = None,
    prediction: str | None = None,
    probabilities: str | None = None,
    classes: Sequence[Any] | None = None,
    groups: str | Sequence[str] = (),
    cluster: str | None = None,
    ids: str | None = None,
    split: str = "test",
    time: str | None = None,
    every: int | None = None,
    alpha: float = 0.05,
    tolerance: float = 0.05,
    threshold: "str | Theta | None" = None,
    fallback: Literal["final", "most_confident"] = "final",
    confidence_measure: Literal["max_probability", "margin", "entropy"] = "max_probability",
    policy: str | Path | None = None,
    plugins: Plugins = (),
    **reading: Any,
) -> "MonitorReport":
    """Watch a deployed model: is the mix, the performance or a gap different from BASE?

        fairexit.monitor("test.csv", ["week1.csv", "week2.csv"], groups="sex")

    The tests are sequentially valid: called after every week with all weeks so far, they give any
    false alarm with probability `alpha` at most.

    Args:
        base: answers of known quality: a run's folder, a file, `Predictions` or a frame.
        new: later answers of the same model for other images, in the same form, or a list of such
            tables in the order of time. Without labels only the mix is watched.
        label, prediction, cluster, ids: columns, as for `fairexit.audit`.
        probabilities: prefix of the probability columns.
        classes: class names in the order of the probabilities.
        groups: names of the sensitive attributes.
        split: the split that is measured, if a table has a column of splits.
        time: the column of time of the new tables, numbers or dates; a look follows each value. By
            default rows are in the order of time, and a look follows each table. A table that
            grows should have it, or `every`, so that earlier looks stay what they were.
        every: clusters between two looks.
        alpha: allowed probability of any false alarm.
        tolerance: difference from BASE that is not called worse.
        threshold, fallback, confidence_measure, policy: for a model with several exits, as for
            `fairexit.audit`; the policy of BASE holds for the new tables too.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        reading: more about how tables are read, as for `fairexit.audit`.
    Returns:
        The report; a notebook shows it as tables.
    Raises:
        UserError: bad input.
    """
    load_plugins(plugins)
    from fairexit.auditing import inputs
    from fairexit.config_files import build_section
    from fairexit.evaluation.choice import Choice
    from fairexit.evaluation.policy import Policy
    from fairexit.monitoring.inputs import monitor_tables
    from fairexit.monitoring.settings import MonitorSettings
    from fairexit.predictions.reading import Reading
    from fairexit.report.monitor_report import MonitorReport

    named = inputs.named_columns(
        label=label, prediction=prediction, prob_prefix=probabilities, cluster=cluster, id=ids
    )
    how = {"classes": None if classes is None else list(map(str, classes)), **reading, **named}
    reader = inputs.TableReader(
        reading=build_section("", Reading, how),
        groups=[groups] if isinstance(groups, str) else list(groups),
        split=split,
        choice=Choice(
            threshold,
            fallback=fallback,
            confidence_measure=confidence_measure,
            policy=None if policy is None else Policy.load(_policy_file(policy)),
        ),
    )
    settings = MonitorSettings(alpha=alpha, tolerance=tolerance, time=time, every=every)
    tables = list(new) if isinstance(new, list | tuple) else [new]
    return MonitorReport.of(monitor_tables(base, tables, reader, settings))


def _as_list(tables: Any, many: bool) -> list[Any]:
    """Tables as a list; without `many`, a list is an array of answers and becomes one element."""
    if many and isinstance(tables, list | tuple):
        return list(tables)
    return [] if tables is None else [tables]


def _policy_file(policy: str | Path) -> Path:
    """The file of a policy, from the file itself or the folder of a run."""
    path = Path(policy)
    return open_run(path).policy if path.is_dir() else path
