"""The function that lets a run answer: predict."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairexit.api.common import Plugins, as_run
from fairexit.errors import UserError, option
from fairexit.extras import require
from fairexit.plugins import load_plugins
from fairexit.runs import Run

if TYPE_CHECKING:
    import pandas as pd

    from fairexit.executors.task import Executor


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
    plugins: Plugins = (),
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
    opened = as_run(run)
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
