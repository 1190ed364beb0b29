"""Predict whole splits: the probabilities of all exits, or only the answers of the policy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError, option, reason, short
from fairexit.inference.answers import AnswerForm, Answers, prediction_table
from fairexit.inference.early_exit import answer_early
from fairexit.inference.inputs import open_request, stored_policy
from fairexit.inference.splits import write_split_answers, write_splits
from fairexit.models import ExitNet
from fairexit.predictions.data import Predictions
from fairexit.progress import track
from fairexit.runs import Run
from fairexit.training.checkpoint import load_net
from fairexit.types import Batch


def choose_device(name: str) -> torch.device:
    """A device by name; `auto` is the GPU if there is one, and the CPU otherwise.

    Raises:
        UserError: this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"{option('device')} is '{short(name)}': {reason(error)}") from None
    if device.type == "meta":
        raise UserError(f"{option('device')} is '{name}', which computes nothing; try cpu")
    return device


def predict(
    run: Run,
    splits: Sequence[str] = ("val", "test"),
    *,
    data: Path | None = None,
    device: str = "auto",
    batch_size: int = 256,
    last: bool = False,
    out: Path | None = None,
) -> list[Path]:
    """Write the predictions of all exits for some splits of a run's data.

    Args:
        run: a finished run.
        splits: the splits.
        data: other prepared data than the run's.
        device: where to compute: `auto`, `cpu`, `cuda` and so on.
        batch_size: images per batch; this changes only speed and memory.
        last: whether to use the weights of the last epoch in place of the best one's.
        out: folder of the files; by default the run's. It is required with other data or the last
            weights, so that these do not replace the run's own predictions.
    Returns:
        The files, one for each split.
    Raises:
        UserError: the data do not fit the run, a split or device does not exist, or `out` is
            missing.
    """
    request = open_request(run, splits, data=data, last=last, out=out)
    net = load_net(run, last).to(choose_device(device))

    def probabilities(data: Prepared, rows: NDArray[np.int64], text: str) -> NDArray[np.float32]:
        return _probabilities(net, data, rows, batch_size=batch_size, description=text)

    return write_splits(request, probabilities, net.exit_names)


def predict_rows(
    net: ExitNet, data: Prepared, rows: NDArray[np.int64], split: str, *, batch_size: int = 256
) -> Predictions:
    """Predict rows of the data with all exits of a network.

    Args:
        net: the network in evaluation mode, on the device that computes.
        data: the prepared data.
        rows: row numbers, (N,).
        split: the split to which they belong.
        batch_size: images per batch; this changes only speed and memory.
    """
    return prediction_table(
        data,
        rows,
        split,
        probabilities=_probabilities(
            net, data, rows, batch_size=batch_size, description=f"predicting {split}"
        ),
        exit_names=tuple(net.exit_names),
    )


def _probabilities(
    net: ExitNet,
    data: Prepared,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    description: str,
) -> NDArray[np.float32]:
    """Class probabilities of all exits for rows of the data, (N, E, C)."""
    device = next(net.parameters()).device
    batches = _batches(data, rows, device, batch_size=batch_size, description=description)
    with torch.inference_mode():
        answers = [net.probabilities(batch.images).cpu() for batch in batches]
    return torch.cat(answers).numpy()


def classify(
    run: Run,
    splits: Sequence[str],
    *,
    data: Path | None = None,
    device: str = "auto",
    batch_size: int = 256,
    last: bool = False,
    out: Path | None = None,
) -> list[Path]:
    """Write the answers of a run's policy, computed with early exit.

    A file has one row per image: id, prediction, confidence (what the policy compares with theta),
    exit, cost (the number of multiply-adds as a share of the full network's), where the policy has
    prediction sets `set` and `refer`, and `p/<class>`, the probabilities at that exit.
    Arguments, result and errors as for `predict`; the run must have a policy.
    """
    policy = stored_policy(run)
    request = open_request(run, splits, data=data, last=last, out=out)
    target_device = choose_device(device)
    net = load_net(run, last).to(target_device)

    def answers(data: Prepared, rows: NDArray[np.int64], text: str) -> Iterator[Answers]:
        batches = _batches(data, rows, target_device, batch_size=batch_size, description=text)
        return (Answers(*answer_early(net, batch.images, policy).arrays()) for batch in batches)

    form = AnswerForm(request.data.classes, net.exit_names, run.exit_costs, policy.sets)
    return write_split_answers(request, answers, form)


def _batches(
    data: Prepared,
    rows: NDArray[np.int64],
    device: torch.device,
    *,
    batch_size: int,
    description: str,
) -> Iterator[Batch]:
    """Batches of rows, without augmentation, with a progress bar."""
    loader = Loader(data, rows, next(iter(data.attributes)), batch_size=batch_size, device=device)
    return track(loader.evaluation(Augment("none", 0)), description, loader.steps())
