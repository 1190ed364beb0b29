"""The public functions of the package root, each with the defaults of the command of its name.

Functions that work on tables do not import torch, and bad input is refused before heavy imports.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fairexit.errors import UserError, option
from fairexit.extras import require
from fairexit.plugins import load_plugins
from fairexit.runs import Run, open_run

if TYPE_CHECKING:
    import pandas as pd

    from fairexit.auditing.settings import AuditSettings
    from fairexit.config import RunConfig
    from fairexit.data.prepared import Prepared
    from fairexit.evaluation.assess import Assessment
    from fairexit.evaluation.risk import Risk
    from fairexit.evaluation.selection import Selection
    from fairexit.evaluation.theta import Theta
    from fairexit.executors.task import Executor
    from fairexit.exporting.folder import Export
    from fairexit.exporting.request import Form
    from fairexit.predictions.data import Predictions
    from fairexit.repetition import Rerun
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
    """Turn a download into a prepared dataset: decode the images, split them, check for leaks.

        fairexit.prepare("isic2019", "downloads/isic2019", out="data/isic2019-64", size=64)

    Args:
        dataset: `isic2019`, `fitzpatrick17k`, `table`, `synthetic`, or the name of a plugin's.
        source: the download: a folder, or the file of a table.
        out: the folder to make.
        options: options of the dataset, such as `{"label": "dx", "group": ["sex"]}` for a table.
        how: `size`, `fit`, `split_file`, `folds`, `split`, `seed`, `unknown`, `classes`,
            `merge_near_duplicates`, `workers`; see `fairexit.data.prepare.PrepareOptions`. By
            default images are decoded in this process. With `workers` above 1 each worker imports
            the calling script, which must guard its main part by `if __name__ == "__main__":`.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: bad input; no files are left behind.
    """
    load_plugins(plugins)
    from fairexit.config_files import build_section
    from fairexit.data import prepare as preparation
    from fairexit.data.datasets import datasets

    checked = build_section("", preparation.PrepareOptions, {"workers": 1, **how})
    built = datasets.create(dataset, **dict(options or {}))
    path = None if source is None else Path(source)
    return preparation.prepare(dataset, built, path, Path(out), options=checked)


def plant(data: "str | Path | Prepared", out: str | Path, **options: Any) -> "Prepared":
    """Plant a known cause of unfairness into a copy of a prepared dataset.

        fairexit.plant("data/isic2019-32", "data/prevalence", cause="prevalence", strength=0.95)

    Args:
        data: a prepared dataset or its folder; it is not changed.
        out: the folder to make.
        options: `cause`, `strength`, `mark`, `name`, `group`, `affected`, `classes`, `relabel`,
            `independent_images`, `seed`; see `fairexit.data.causes.PlantOptions`.
    Returns:
        The planted dataset, whose main attribute is the planted group.
    Raises:
        UserError: bad input; no files are left behind.
    """
    from fairexit.config_files import build_section
    from fairexit.data import plant as planting
    from fairexit.data.causes import PlantOptions
    from fairexit.data.prepared import Prepared, open_prepared

    checked = build_section("", PlantOptions, options)
    path = data.path if isinstance(data, Prepared) else Path(data)
    return planting.plant(open_prepared(path, whole=True), Path(out), checked)


def train(
    config: "str | Path | Mapping[str, Any] | RunConfig",
    out: str | Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    seeds: Sequence[int] | None = None,
    tracker: str | Mapping[str, Any] | None = None,
    plugins: "Plugins" = (),
) -> Run | list[Run]:
    """Train a run and, if its settings have `prune`, prune it. Resumes if it was interrupted.

        fairexit.train("configs/small_resnet18.yaml", "runs/me", {"train.epochs": 10})

    Args:
        config: a YAML file, a nested dictionary of the same form, or a `RunConfig`.
        out: the run's folder.
        changes: settings that replace those of the configuration: `{"train.epochs": 10}`, or
            `["train.epochs=10"]` as on the command line.
        seeds: seeds in place of that of the configuration, each with a run in the folder `seed<n>`
            of `out`; finished ones are not trained again. The setting `seed` can also be a list.
        tracker: where the log is sent too: "mlflow", "wandb", "trackio" or one of a plugin, or
            `{"name": "wandb", "project": "skin"}` with options.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The run, or the runs of all seeds if there is a list of seeds.
    Raises:
        UserError: settings that do not fit the data or the machine, a folder that holds another
            run, or a loss that diverges.
    """
    require("train", "fairexit.train")
    load_plugins(plugins)
    from fairexit.config_files import resolve_seeds

    settings = resolve_seeds(config, changes, seeds)
    from fairexit.training.inputs import open_training
    from fairexit.training.trackers.base import check_tracker

    checked = check_tracker(tracker)
    open_training(settings[0] if isinstance(settings, list) else settings)
    from fairexit.pipeline import make_run, make_runs

    if isinstance(settings, list):
        return make_runs(settings, Path(out), tracker=checked)
    return make_run(settings, Path(out), tracker=checked)


def refit(
    run: str | Path | Run, out: str | Path, *, plugins: "Plugins" = (), **options: Any
) -> Run:
    """Refit the last layers of a finished run by ERM on group-balanced held-out data.

    This is the method `dfr`; the result is the run that training with it would have made.

        fairexit.refit("runs/me", "runs/me-dfr", balance="groups")

    Args:
        run: a finished run or its folder; it is not changed.
        out: folder of the refitted run.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        options: `refits` and `balance`; see `fairexit.methods.dfr.Dfr`.
    Raises:
        UserError: the run was not trained by ERM or is pruned, its network cannot be refitted, or
            the held-out images do not suffice.
    """
    require("train", "fairexit.refit")
    load_plugins(plugins)
    opened = _open(run)
    from fairexit.pipeline import refit_run

    return refit_run(opened, Path(out), options)


def rerun(run: str | Path | Run, out: str | Path, *, plugins: "Plugins" = ()) -> "Rerun":
    """Repeat a run from its record, and compare weights, log and predictions.

        fairexit.rerun("runs/me", "runs/me-again").equal

    Args:
        run: a finished run or its folder; it is not changed.
        out: folder of the repetition, which resumes if it was interrupted.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The repetition, the largest difference of each part, and what has changed of versions and
        machine.
    Raises:
        UserError: the run was trained by a loop of your own, or its data are missing or have
            changed.
    """
    require("train", "fairexit.rerun")
    load_plugins(plugins)
    opened = _open(run)
    from fairexit.repetition import rerun as repeat

    return repeat(opened, Path(out))


def prune(
    run: str | Path | Run, out: str | Path, *, plugins: "Plugins" = (), **settings: Any
) -> Run:
    """Edit a finished run to make it fairer. Resumes if it was interrupted.

        fairexit.prune("runs/me", "runs/me-pruned", ratio=0.35)
        fairexit.prune("runs/me", "runs/me-scp", method="scp", stages=[4])

    Args:
        run: a finished run or its folder; it is not changed.
        out: folder of the pruned run.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
        settings: `method`, `ratio`, `beta` ...; see `fairexit.config_prune.PruneConfig`.
    Raises:
        UserError: the run is pruned already, or the settings do not fit it or its data.
    """
    require("train", "fairexit.prune")
    load_plugins(plugins)
    from fairexit.config_files import build_prune

    opened, config = _open(run), build_prune(settings)
    from fairexit.inference.inputs import open_data

    open_data(opened)
    from fairexit.pruning.prune import prune as prune_run

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
    overwrite: bool = False,
    batch_size: int = 256,
    device: str = "auto",
    ray: str | None = None,
    threads: int | None = None,
    gpus: float | None = None,
    plugins: "Plugins" = (),
) -> "list[Path] | pd.DataFrame":
    """Write a run's predictions for splits of its data, or predict images without labels.

        fairexit.predict("runs/me")
        answers = fairexit.predict("runs/me", images="new")

    Args:
        run: a finished run, or an export of one in ONNX, or its folder.
        splits: any of `train`, `val` and `test`; by default val and test.
        policy_only: write only the answers under the stored policy, not the probabilities of every
            exit; images leave early, which saves work.
        images: image files without labels instead of splits: a folder with its subfolders, one
            file, or a list: a text file (.txt) with one path on each line, or a table (.csv, .tsv)
            with a column `path`. Relative paths start at the folder of the list.
        data: prepared data to use instead of the run's own.
        last: use the weights of the last epoch instead of the best one.
        out: folder of the predictions; required with `data` and `last`. With `images`, a CSV file
            for the answers, which are then not kept in memory, however many they are; if the call
            is interrupted, the same call resumes.
        overwrite: replace files that exist in `out`. Without `out` the run's own predictions are
            always replaced.
        batch_size: number of images at a time; affects only speed and memory.
        device: where to compute.
        ray: with `images` and `out`, a Ray cluster whose nodes see the same folders, on which the
            images are divided: `auto` for the cluster of this machine, or HOST:PORT. The answers
            are the same.
        threads: with `ray`, CPU threads of each task, by default 1.
        gpus: with `ray`, GPUs of each task, or a share such as 0.5; by default 1 where the cluster
            has GPUs.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The files that were written; with `images` and without `out`, the answers, a row for each
        image.
    Raises:
        UserError: no finished run, or arguments that do not fit it or each other.
    """
    load_plugins(plugins)
    opened = _open(run)
    require("onnx-run" if opened.is_export else "train", "fairexit.predict")
    from fairexit.inference import inputs

    if ray is None and (threads is not None or gpus is not None):
        raise UserError(f"{option('threads')} and {option('gpus')} belong to {option('ray')}")
    file = None if out is None else Path(out)
    if images is not None:
        if data is not None or splits or last or policy_only:
            raise UserError("'images' excludes 'data', 'splits', 'policy_only' and 'last'")
        inputs.stored_policy(opened)
        inputs.check_absent([] if file is None else [file], overwrite)
        how: dict[str, Any] = {"batch_size": batch_size, "device": device, "overwrite": overwrite}
        if ray is None:
            return _classify_images(opened, Path(images), file, **how)
        return _classify_on_ray(
            opened, Path(images), file, ray=ray, threads=threads, gpus=gpus, **how
        )
    if ray is not None:
        raise UserError(f"{option('ray')} needs {option('images')}; splits are predicted here")
    names = list(splits or ("val", "test"))
    prepared = None if data is None else Path(data)
    if policy_only:
        inputs.stored_policy(opened)
    inputs.open_request(opened, names, data=prepared, last=last, out=file)
    if file is not None:
        ending = "_answers.csv" if policy_only else ".parquet"
        inputs.check_absent([file / f"{name}{ending}" for name in names], overwrite)
    inference: Any = import_module(
        f"fairexit.inference.{'exported' if opened.is_export else 'predict'}"
    )
    write = inference.classify if policy_only else inference.predict
    return write(
        opened, names, data=prepared, last=last, out=file, device=device, batch_size=batch_size
    )


def _classify_images(
    run: Run,
    path: Path,
    out: Path | None,
    *,
    batch_size: int,
    device: str,
    overwrite: bool,
    executor: "Executor | None" = None,
) -> "list[Path] | pd.DataFrame":
    """The answers for images without labels; arguments and result as for `predict`.

    With an executor the images are divided among its tasks, which compute on `device`.
    """
    from fairexit.inference.image_list import list_images
    from fairexit.inference.shards import Sharding, load, shard_texts
    from fairexit.inference.stream import Texts, batch_texts, origin, stream_answers
    from fairexit.inference.unfinished import Unfinished

    if out is not None and out.resolve() == path.resolve():
        raise UserError(f"{option('out')} {out} is also the list of images; choose another name")
    images = list_images(path)
    # With an executor this process computes nothing.
    model = load(run.path, "cpu" if executor else device)
    if out is None:
        ids, files = zip(*images.files(), strict=True)
        return model(files, batch_size).assign(id=ids)

    def texts(unfinished: Unfinished) -> Texts:
        if executor is None:
            return batch_texts(model, images, unfinished.rows, batch_size=batch_size)
        sharding = Sharding(executor, run.path, device)
        return shard_texts(sharding, images, unfinished, batch_size=batch_size)

    computed_on = device if executor else model.device
    source = origin(run, images, batch_size=batch_size, device=computed_on)
    stream_answers(model, images, out, source=source, overwrite=overwrite, texts=texts)
    return [out]


def _classify_on_ray(
    run: Run,
    path: Path,
    out: Path | None,
    *,
    ray: str,
    threads: int | None,
    gpus: float | None,
    device: str,
    **how: Any,
) -> "list[Path] | pd.DataFrame":
    """The answers for images without labels, computed on a Ray cluster; as `_classify_images`."""
    from fairexit.executors.ray_connection import connect

    if out is None:
        raise UserError(f"{option('ray')} needs {option('out')}, a CSV file for the answers")
    seen = [run.path, path]
    with connect(ray, out.parent, threads=threads, gpus=gpus, paths=seen) as cluster:
        if device == "auto":
            device = "cuda:0" if cluster.has_gpus and not run.is_export else "cpu"
        return _classify_images(run, path, out, executor=cluster, device=device, **how)


def export(
    run: str | Path | Run,
    out: str | Path,
    *,
    form: "Form" = "staged",
    int8: bool = False,
    card: str | Path | None = None,
    data: str | Path | None = None,
    plugins: "Plugins" = (),
) -> "Export":
    """Export a run as ONNX graphs or as a program of torch.export.

    The result is checked against PyTorch on all validation images. `fairexit.runtime` runs it
    without torch, and `predict` takes it like a run.

        fairexit.export("runs/me", "exports/me")

    Args:
        run: a finished and evaluated run or its folder.
        out: the folder to make.
        form: `staged` (one ONNX graph for each exit, so that images that have left cost nothing
            more), `all-exits` (one ONNX graph), or `torch-export`.
        int8: whether to quantise the ONNX graphs to 8 bits, calibrated on training images, with an
            audit of what that does to each group on validation.
        card: a file with the model card; by default it is made from an audit of the test split.
        data: prepared data to use instead of the run's own.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: no finished run with a policy, the network cannot be converted, the export does
            not answer as PyTorch does, or a group loses by 8 bits. No files are left behind.
    """
    require("export", "fairexit.export")
    load_plugins(plugins)
    opened, folder = _open(run), Path(out)
    written = None if card is None else Path(card)
    prepared = None if data is None else Path(data)
    from fairexit.exporting.request import check_request

    check_request(opened, folder, form=form, int8=int8, card=written, data=prepared)
    from fairexit.report.model_card import render_card

    text = render_card(audit(opened.path)) if written is None else written.read_text("utf-8")
    from fairexit.exporting.folder import export as export_run

    return export_run(opened, folder, form=form, int8=int8, card=text, data=prepared)


def push(
    run: str | Path | Run,
    repo_id: str,
    *,
    private: bool | None = None,
    license: str | None = None,
    card: str | Path | None = None,
    commit_message: str = "Upload a model of fairexit",
    token: str | None = None,
    plugins: "Plugins" = (),
) -> str:
    """Upload a run to the Hugging Face Hub, with a model card from an audit of its test split.

    Uploaded are the weights, the description, the settings, the policy, the metrics and the model
    card; never predictions, checkpoints, images or logs.

        fairexit.push("runs/me", "user/model", private=True, license="cc-by-nc-4.0")

    Args:
        run: a finished and evaluated run or its folder.
        repo_id: the repository, `user/model`, which is made if it does not exist.
        private: whether a new repository is private; by default as the account is set.
        license: identifier of the license of the weights, such as `mit`; without it the card says
            that the license is not stated.
        card: a file with the model card; by default the run's `README.md` or, without one, a card
            that is made from an audit of the test split.
        commit_message: the message of the commit.
        token: an access token; by default the stored one.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The address of the repository.
    Raises:
        UserError: no finished run with a policy, a malformed name, no token, or the Hub cannot be
            reached or refuses.
    """
    require("hub", "fairexit.push")
    load_plugins(plugins)
    opened, file = _open(run), None if card is None else Path(card)
    from fairexit.hub.card import check_license
    from fairexit.hub.folder import CARD, write_shared
    from fairexit.hub.transfer import check_upload, upload
    from fairexit.inference.inputs import stored_policy

    check_license(license)
    if file is not None and not file.is_file():
        raise UserError(f"{option('card')} is '{file}', which is not a file")
    stored_policy(opened)
    check_upload(repo_id, token)
    text = None if file is None else file.read_text("utf-8", errors="replace")
    if text is None and not opened.is_export and not (opened.path / CARD).is_file():
        from fairexit.report.model_card import render_card

        text = render_card(audit(opened.path))
    with TemporaryDirectory() as folder:
        write_shared(opened, Path(folder), name=repo_id, license=license, card=text)
        return upload(
            Path(folder), repo_id, private=private, commit_message=commit_message, token=token
        )


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
    plugins: "Plugins" = (),
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


def choose(
    runs: "Sequence[str | Path | Run]",
    *,
    constraints: Sequence[str] = (),
    minimize: str | None = None,
    maximize: str | None = None,
    cost: float | None = None,
    group: str | None = None,
    grid: Sequence[float] | None = None,
    fallback: Literal["final", "most_confident"] = "final",
    confidence_measure: Literal["max_probability", "margin", "entropy"] = "max_probability",
    empty: Literal["exclude", "zero"] = "exclude",
    out: str | Path | None = None,
    store: bool = True,
    plugins: "Plugins" = (),
) -> "Selection":
    """Choose a run, and an exit or a threshold, under constraints, on validation only.

    The candidates are the exits of every run, and early exit at every threshold of the grid. The
    chosen one becomes the policy of its run, in `policy.json` with the reason, which predict,
    audit and report use. If no candidate meets the constraints, `chosen` is None and no policy is
    written.

        fairexit.choose(["runs/plain", "runs/me"], constraints=["f1 >= best - 0.01"],
                        minimize="eodd", cost=0.6)

    Args:
        runs: finished runs or their folders. Missing predictions of validation are made. A run
            whose training did not finish is left out, with a warning.
        constraints: such as "f1 >= 0.7" or "f1 >= best - 0.01", of any metric or `cost`; `best`
            is the best value on validation of all candidates.
        minimize: the metric, or `cost`, that is to be as low as possible; or
        maximize: the metric that is to be as high as possible.
        cost: the largest mean cost of an image, a share of the full network's multiply-adds.
        group: the sensitive attribute; by default that of the runs.
        grid: the thresholds that are tried; by default the paper's.
        fallback: which exit answers when none reaches the threshold.
        confidence_measure: what is compared with the threshold, as for `fairexit.evaluate`.
        empty: whether a rate without samples is left out of the gaps, or counts as 0.
        out: a folder for `front.csv` and a picture of the front; by default none is written.
        store: whether `policy.json` of the chosen run is written.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The candidates, the front and what was chosen.
    Raises:
        UserError: a constraint or metric is unknown or does not fit, the runs are of different
            data, splits or attributes, or no run is finished.
    """
    if out is not None:
        require("figures", "the picture of a choice")
    load_plugins(plugins)
    from fairexit.evaluation.choose import GRID
    from fairexit.evaluation.chosen_policy import chosen_policy
    from fairexit.evaluation.comparable import finished_runs, read_comparable
    from fairexit.evaluation.goal import parse_goal
    from fairexit.evaluation.select_point import select_point
    from fairexit.evaluation.theta import check_fallback, check_thetas
    from fairexit.predictions.confidence import check_confidence_measure

    goal = parse_goal(constraints, minimize=minimize, maximize=maximize, cost=cost)
    thetas = GRID if grid is None else tuple(grid)
    # Before predictions are made.
    check_thetas(thetas)
    check_fallback(fallback)
    check_confidence_measure(confidence_measure)
    opened = finished_runs([run.path if isinstance(run, Run) else Path(run) for run in runs])
    for run in opened:
        if not run.predictions("val").is_file():
            predict(run, splits=["val"])
    data = read_comparable(opened, group, confidence_measure)
    selection = select_point(data, goal, grid=thetas, fallback=fallback, empty=empty)
    if out is not None:
        from fairexit.report.choice_figure import write_front

        write_front(selection, Path(out))
    if store and selection.chosen is not None:
        chosen_policy(selection, confidence_measure).save(selection.chosen_run.policy)
    return selection


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
    plugins: "Plugins" = (),
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


def _as_list(tables: Any, many: bool) -> list[Any]:
    """Tables as a list; without `many`, a list is an array of answers and becomes one element."""
    if many and isinstance(tables, list | tuple):
        return list(tables)
    return [] if tables is None else [tables]


def _policy_file(policy: str | Path) -> Path:
    """The file of a policy, from the file itself or the folder of a run."""
    path = Path(policy)
    return open_run(path).policy if path.is_dir() else path


def _open(run: str | Path | Run) -> Run:
    return open_run(run.path if isinstance(run, Run) else Path(run))
