"""The training images that an identification network gets wrong, kept in the folder of a run."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from fairexit.config import RunConfig
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError
from fairexit.files import read_json, write_json
from fairexit.runs import RETRAIN, Run
from fairexit.training.checkpoint import load_net


def identification_config(config: RunConfig, epochs: int) -> RunConfig:
    """The settings of an identification network: ERM at a constant learning rate."""
    train = config.train
    is_thawed_later = isinstance(train.freeze, int) and train.freeze >= epochs
    train = replace(
        train,
        epochs=epochs,
        schedule="constant",
        warmup=min(train.warmup, epochs),
        restarts=[],
        restart_lr=None,
        early_stopping=None,
        average="none",
        save_every=None,
        freeze="trunk" if is_thawed_later else train.freeze,
    )
    return replace(config, method={"name": "erm"}, train=train)


@torch.inference_mode()
def find_errors(network: Run, loader: Loader) -> NDArray[np.bool_]:
    """Whether the final exit of a run's last epoch is wrong about each row of a loader, (N,)."""
    net = load_net(network, last=True).to(loader.device)
    wrong = [
        (net(batch.images)[-1].logits.argmax(1) != batch.labels).cpu()
        for batch in loader.evaluation(Augment("none", 0))
    ]
    return torch.cat(wrong).numpy()


def write_errors(
    run: Run, data: Prepared, rows: NDArray[np.int64], wrong: NDArray[np.bool_]
) -> None:
    """Store the ids of the training images that are drawn more often."""
    ids = data.frame["id"].to_numpy(str)[rows[wrong]]
    write_json(run.identified, {"images": len(rows), "wrong": ids.tolist()})


def read_errors(run: Run, data: Prepared, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The stored errors, as a mask of the rows of the training split, (N,).

    Raises:
        UserError: the file is damaged, or names an image that is not among the rows.
    """
    ids = data.frame["id"].to_numpy(str)[rows]
    stored = read_json(run.identified, RETRAIN).get("wrong")
    wrong = np.isin(ids, stored if isinstance(stored, list) else [])
    if not isinstance(stored, list) or wrong.sum() != len(stored):
        raise UserError(f"{run.identified} does not fit the training split; {RETRAIN}")
    return wrong
