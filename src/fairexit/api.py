"""The public functions of the package root, each with the defaults of the command of its name.

What works on tables imports no torch, and bad input is refused before anything heavy is imported.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fairexit.errors import UserError
from fairexit.extras import require
from fairexit.plugins import load_plugins
from fairexit.runs import Run, open_run

if TYPE_CHECKING:
    import pandas as pd

    from fairexit.auditing.settings import AuditSettings
    from fairexit.config import RunConfig
    from fairexit.data.prepared import Prepared
    from fairexit.evaluation.assess import Assessment
    from fairexit.predictions.data import Predictions
    from fairexit.report.audit_report import AuditReport

    Plugins: TypeAlias = Sequence[str | Path]
    Table: TypeAlias = str | Path | Predictions | pd.DataFrame


def prepare(
    dataset: str,
    source: str | Path | None = None,
    *,
    out: str | Path,
    options: Mapping[str, Any] | None = None,
    plugins: "Plugins" = (),
    **how: Any,
) -> "Prepared":
    """Turn a download into a prepared dataset: images decoded once, split, checked for leaks.

        fairexit.prepare("isic2019", "downloads/isic2019", out="data/isic2019-64", size=64)

    Args:
        dataset: `isic2019`, `fitzpatrick17k`, `table`, `synthetic`, or one of your own.
        source: the download: a folder, or the file of a table.
        out: the folder to make.
        options: the dataset's own, such as `{"label": "dx", "group": ["sex"]}` for a table.
        how: `size`, `fit`, `split_file`, `folds`, `seed`, `unknown`, `classes`,
            `merge_near_duplicates`, `workers`; see `fairexit.data.prepare.PrepareOptions`. Images
            are decoded in this process unless `workers` says otherwise: processes start anew from
            the caller's script, which must then guard its main part by `__name__`.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: bad input; nothing is left behind.
    """
    load_plugins(plugins)
    from fairexit.config_files import build_section
    from fairexit.data import prepare as preparation
    from fairexit.data.datasets import datasets

    checked = build_section("prepare", preparation.PrepareOptions, {"workers": 1, **how})
    built = datasets.create(dataset, **dict(options or {}))
    path = None if source is None else Path(source)
    return preparation.prepare(dataset, built, path, Path(out), options=checked)


def train(
    config: "str | Path | Mapping[str, Any] | RunConfig",
    out: str | Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    plugins: "Plugins" = (),
) -> Run:
    """Train a run and, if its settings have `prune`, prune it. Resumes if it was interrupted.

        fairexit.train("configs/small_resnet18.yaml", "runs/me", {"train.epochs": 10})

    Args:
        config: a YAML file, the same as nested dictionaries, or a `RunConfig`.
        out: the run's folder.
        changes: settings in place of those of the configuration: `{"train.epochs": 10}`, or as on
            the command line `["train.epochs=10"]`.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: settings that do not fit the data or the machine, a folder that holds another
            run, or a loss that diverges.
    """
    require("train", "fairexit.train")
    load_plugins(plugins)
    from fairexit.config_files import resolve_config

    settings = resolve_config(config, changes)
    from fairexit.training.inputs import open_training

    open_training(settings)
    from fairexit.pipeline import make_run

    return make_run(settings, Path(out))


def prune(
    run: str | Path | Run, out: str | Path, *, plugins: "Plugins" = (), **settings: Any
) -> Run:
    """Prune a finished run into a fairer one. Resumes if it was interrupted.

        fairexit.prune("runs/me", "runs/me-pruned", ratio=0.35)

    Args:
        run: a finished run or its folder; it is not changed.
        out: folder of the pruned run, which is a run like any other.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        settings: `method`, `ratio`, `beta` ...; see `fairexit.config.PruneConfig`.
    Raises:
        UserError: the run is pruned already, or the settings do not fit it or its data.
    """
    require("train", "fairexit.prune")
    load_plugins(plugins)
    from fairexit.config_files import build_prune

    opened, config = _open(run), build_prune(settings)
    from fairexit.inference.inputs import open_data

    open_data(opened)
    from fairexit.pruning.fairprune import prune as prune_run

    return prune_run(opened, Path(out), config)


def predict(
    run: str | Path | Run,
    *,
    splits: Sequence[str] | None = None,
    policy_only: bool = False,
    images: str | Path | None = None,
    data: str | Path | None = None,
    last: bool = False,
    out: str | Path | None = None,
    batch_size: int = 256,
    device: str = "auto",
    plugins: "Plugins" = (),
) -> "list[Path] | pd.DataFrame":
    """Write the predictions of a run for splits of its data, or answer for a folder of images.

        fairexit.predict("runs/me")
        answers = fairexit.predict("runs/me", images="new")

    Args:
        run: a finished run or its folder.
        splits: of `train`, `val` and `test`; by default val and test.
        policy_only: only the policy's answers, for which images leave early, and not the
            probabilities of every exit.
        images: a folder of images without labels, in place of splits.
        data: other prepared data than the run's own.
        last: the weights of the last epoch in place of the best.
        out: folder of the predictions; other data and the last weights need one. With `images` a
            CSV file, which is optional.
        batch_size: images at a time; it changes speed and memory only.
        device: where to compute.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The files that were written; with `images` the answers, a row for each image.
    Raises:
        UserError: no finished run, or arguments that do not fit it or each other.
    """
    require("train", "fairexit.predict")
    load_plugins(plugins)
    opened = _open(run)
    from fairexit.inference import inputs

    file = None if out is None else Path(out)
    if images is not None:
        if data is not None or splits or last or policy_only:
            raise UserError("images excludes data, splits, policy_only and last")
        inputs.stored_policy(opened)
        inputs.images_below(Path(images))
        from fairexit.inference.classifier import classify_folder

        return classify_folder(opened, Path(images), file, device=device, batch_size=batch_size)
    chosen = list(splits or ("val", "test"))
    other = None if data is None else Path(data)
    if policy_only:
        inputs.stored_policy(opened)
    inputs.open_request(opened, chosen, data=other, last=last, out=file)
    from fairexit.inference import predict as inference

    work = inference.classify if policy_only else inference.predict
    return work(
        opened, chosen, data=other, last=last, out=file, device=device, batch_size=batch_size
    )


def evaluate(
    source: "str | Path | Run | Predictions",
    *,
    split: str = "test",
    group: str | None = None,
    threshold: str | float | Sequence[float] = "auto",
    rule: str = "eodd",
    tolerance: float = 0.01,
    grid: Sequence[float] | None = None,
    fallback: Literal["final", "most_confident"] = "final",
    empty: Literal["exclude", "zero"] = "exclude",
    prob_prefix: str | None = None,
    plugins: "Plugins" = (),
) -> "Assessment":
    """Measure accuracy and fairness of a run, or of anybody's predictions.

    For a run `metrics.json` and, where a threshold is chosen for its own attribute, `policy.json`
    are written into its folder.

        fairexit.evaluate("runs/me").evaluation.metrics["f1"]

    Args:
        source: a predicted run or its folder, a file of predictions, or `Predictions`.
        split: the split that is measured; predictions that name no split are measured whole.
        group: the sensitive attribute; by default the run's own, or the only one that there is.
        threshold: `auto` (chosen on validation), `policy` (the run's stored one), a number, or one
            for each internal exit.
        rule: how `auto` chooses; the name of a metric, see `choose_theta`.
        tolerance: the loss of macro F1 that the rule allows.
        grid: the thresholds that `auto` tries; by default the paper's.
        fallback: which exit answers when none reaches the threshold.
        empty: a rate without samples is left out of the gaps, or counts 0.
        prob_prefix: what the names of a file's probability columns begin with, instead of `p/`.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: no such thing, or a threshold would have to be chosen without validation rows.
    """
    load_plugins(plugins)
    from fairexit.evaluation.assess import Choice, assess
    from fairexit.evaluation.thresholds import GRID

    choice = Choice(
        threshold=threshold if isinstance(threshold, str | float | int) else tuple(threshold),
        grid=GRID if grid is None else tuple(grid),
        rule=rule,
        tolerance=tolerance,
        fallback=fallback,
    )
    measured = source.path if isinstance(source, Run) else source
    return assess(
        Path(measured) if isinstance(measured, str) else measured,
        split=split,
        group=group,
        choice=choice,
        empty=empty,
        prob_prefix=prob_prefix,
    )


def audit(
    table: "Table | Sequence[Table] | None" = None,
    *,
    label: str | ArrayLike = "label",
    prediction: str | ArrayLike | None = None,
    probabilities: str | ArrayLike | None = None,
    classes: Sequence[Any] | None = None,
    groups: str | Sequence[str] | Mapping[str, ArrayLike] = (),
    cluster: str | ArrayLike | None = None,
    ids: str | ArrayLike | None = None,
    split: str = "test",
    baseline: "Table | Sequence[Table] | ArrayLike | None" = None,
    positive: str | Sequence[str] = (),
    intersections: bool = False,
    threshold: str | float | tuple[float, ...] | None = None,
    name: str = "the model",
    settings: "AuditSettings | None" = None,
    plugins: "Plugins" = (),
) -> "AuditReport":
    """Audit anybody's predictions: gaps between groups, with intervals and what chance gives.

    Either a table with names of columns:

        fairexit.audit(frame, label="y", prediction="answer", groups=["sex"], cluster="patient")

    or arrays:

        fairexit.audit(label=y, probabilities=model.predict_proba(x), classes=model.classes_,
                       groups={"sex": sex})

    Args:
        table: a run's folder, a file, `Predictions` or a frame; a list of them for several
            training seeds of one model, the first of which is audited in full; None if arrays are
            given.
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
        threshold: of a model with several exits, `auto` or `policy`.
        name: of the model.
        settings: numbers of resamples and permutations, seed and confidence level.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The findings; shown as a table in a notebook.
    Raises:
        UserError: bad input, in one line.
    """
    load_plugins(plugins)
    from fairexit.auditing import inputs
    from fairexit.auditing.audit import audit_sources
    from fairexit.report.audit_report import AuditReport

    if table is not None and isinstance(groups, Mapping):
        raise UserError("a table is given, so groups are names of its columns: groups=['sex']")
    wanted = [groups] if isinstance(groups, str) else list(groups)
    several = isinstance(table, list | tuple)
    if table is None:
        arrays = {"prediction": prediction, "probabilities": probabilities, "classes": classes}
        arrays |= {"cluster": cluster, "ids": ids}
        sources = [inputs.source_of_arrays(name, label, groups=groups, **arrays)]
    else:
        columns = inputs.named_columns(
            label=label, prediction=prediction, prob_prefix=probabilities, cluster=cluster, id=ids
        )
        reader = inputs.TableReader(
            columns=columns, groups=wanted, classes=classes, split=split, threshold=threshold
        )
        sources = [reader.open(seed, name) for seed in _listed(table, several)]
    others = []
    for other in _listed(baseline, several):
        if not inputs.is_table(other):
            others.append(inputs.with_answers(sources[0], np.asarray(other)))
        elif table is None:
            raise UserError("the model is given as arrays; give the baseline as an array too")
        else:
            others.append(reader.open(other, "the baseline"))
    results = audit_sources(
        sources,
        wanted,
        baselines=others,
        intersections=intersections,
        positives=[positive] if isinstance(positive, str) else positive,
        settings=settings,
    )
    return AuditReport.of(results)


def _listed(tables: Any, several: bool) -> list[Any]:
    """Tables as a list; a list is one of tables only where several are given, else an array."""
    if several and isinstance(tables, list | tuple):
        return list(tables)
    return [] if tables is None else [tables]


def _open(run: str | Path | Run) -> Run:
    return open_run(run.path if isinstance(run, Run) else Path(run))
