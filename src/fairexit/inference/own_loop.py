"""Make a run of a network that was trained in a loop of one's own, such as Lightning's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from fairexit.config import RunConfig
from fairexit.config_files import resolve_config
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option
from fairexit.files import folder_lock, write_atomically
from fairexit.inference.predict import predict_rows
from fairexit.models.exitnet import ExitNet, unwrap
from fairexit.predictions.files import write_predictions
from fairexit.runs import Run, open_run
from fairexit.terminal import note
from fairexit.training.checkpoint import describe, load_net, save_tensors
from fairexit.training.inputs import open_training
from fairexit.training.setup import record_plugins
from fairexit.types import Task

NETWORK = ("exits", "head", "stem", "pretrained", "normalisation")
"""Settings of the network, besides its name, that are its own arguments."""


def save_run(
    net: nn.Module,
    data: str | Path | Prepared,
    out: str | Path,
    *,
    group: str | None = None,
    fold: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Run:
    """Save a network that was trained in a loop of one's own as a run.

    Predicting, evaluating, auditing, pruning and `load_model` then work as for any other run.

        net = fairexit.create_model("resnet18", num_classes=8, image_size=64)
        ...  # a loop of your own, on images of the prepared data as floats from 0 to 1
        fairexit.save_run(net, "data/isic-64", "runs/mine")
        fairexit.predict("runs/mine")

    The network is asked for the classes of the validation split, as every later command will ask
    it, and the accuracy is printed. If your loop measured another one, it prepared the images
    differently, for example by a normalisation outside the network.

    Args:
        net: a network of `create_model`, or a wrapper of one: DataParallel, its distributed form,
            torch.compile, Fabric, or AveragedModel. It is left as it is.
        data: the prepared data on which it was trained, or their folder.
        out: the run's folder, which must not exist or be empty.
        group: the sensitive attribute; by default the dataset's main one.
        fold: number of the test fold, for data that were prepared in folds.
        settings: settings of the training as far as they are known, such as
            `{"train.lr": 0.01, "method.name": "hsic"}`. They are recorded, and used if pruning
            trains the network further; others have their defaults there.
    Returns:
        The run, with predictions for the validation split.
    Raises:
        UserError: the network or the settings do not fit the data, or the folder is not empty.
    """
    inner, run = unwrap(net), Run(Path(out))
    if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
        raise UserError(f"{run.path} exists and is not empty; choose another {option('out')}")
    folder = data.path if isinstance(data, Prepared) else Path(data)
    config = record_plugins(_config(inner, folder, group=group, fold=fold, settings=settings))
    prepared = open_training(config)
    task = prepared.task(config.data.group)
    _check(inner, prepared, task)
    with folder_lock(run.path):
        run.start(config, prepared.info["checksums"])
        weights = save_tensors(inner.state_dict())
        write_atomically(run.weights, weights)
        write_atomically(run.last_weights, weights)
        describe(run, config, prepared, inner, task=task, penalty_ratio=None, own_loop=True)
    _validate(open_run(run.path), prepared)
    return run


def _config(
    net: ExitNet,
    folder: Path,
    *,
    group: str | None,
    fold: int | None,
    settings: Mapping[str, Any] | None,
) -> RunConfig:
    """The settings of the run: those of the network, and what is known of its training."""
    model = {name: net.config[name] for name in NETWORK}
    given = {
        "data": {"path": str(folder), "group": group, "fold": fold},
        "model": {"backbone": net.config["name"], **model},
        **({"method": {"name": "domainindep"}} if "mixture" in net.config else {}),
    }
    fixed = [name for name in settings or {} if name.split(".")[0] in ("data", "model", "prune")]
    if fixed:
        raise UserError(
            f"'settings' has '{fixed[0]}', but the data and the network are given; give only "
            "settings of 'train', 'method' and 'seed'"
        )
    return resolve_config(given, settings or {})


def _check(net: ExitNet, data: Prepared, task: Task) -> None:
    """Raise a UserError if the network is not one for the classes and images of the data."""
    if net.num_classes != task.num_classes:
        raise UserError(
            f"the network has {net.num_classes} classes, but {data.path} has {task.num_classes}: "
            f"{', '.join(task.classes)}"
        )
    size = net.config["image_size"]
    if size not in (None, data.size):
        raise UserError(
            f"the network was made for images of {size} px, but {data.path} has {data.size} px"
        )
    net.check_size(data.size, data.size)


def _validate(run: Run, data: Prepared) -> None:
    """Predict the validation split as every later command does, and print the accuracy."""
    rows = data.rows("val", run.config.data.fold)
    predicted = predict_rows(load_net(run), data, rows, "val")
    write_predictions(predicted, run.predictions("val"))
    assert predicted.probabilities is not None
    hits = predicted.probabilities[:, -1].argmax(-1) == predicted.labels
    note(
        f"{run.path}: accuracy {hits.mean():.4f} on the {len(hits):,} validation images. If your "
        "loop measured another one, it gave the network other images: here they are floats from 0 "
        "to 1, RGB, not augmented."
    )
