"""When training ends early, and which epochs SWAD averages: functions of the log alone.

So a resumed run decides as an uninterrupted one does.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fairexit.config_train import TrainConfig
from fairexit.training.log import kept_epoch

CONVERGED, ENDED, TOLERANCE = 3, 6, 0.3
"""Of SWAD: epochs that show that the loss has stopped falling, epochs above the limit that end the
window, and the limit's distance from the loss there, as in the source (N_s, N_e and r - 1)."""
RAW_LOSS = "val_raw_loss"
"""Column of the log: the validation loss of the weights that are not averaged."""


class Window(NamedTuple):
    """The epochs that are averaged, from 0, both ends included.

    Attributes:
        start: the first epoch.
        end: the last epoch so far.
        has_ended: whether later epochs can no longer be a part of it.
    """

    start: int
    end: int
    has_ended: bool


def swad_window(losses: Sequence[float]) -> Window:
    """The epochs around the minimum of the validation loss (Cha et al. 2021, algorithm 1).

    It starts at the first epoch whose loss is below those of the next `CONVERGED` - 1 epochs. The
    limit is the mean of these losses times 1 + `TOLERANCE`. The window ends before the first
    `ENDED` epochs in a row above the limit. The source checks the loss every few hundred steps,
    this function once in an epoch. Until the start is certain, the lowest loss so far is the start.

    Args:
        losses: validation loss of the weights after each epoch.
    """
    start = end = above = 0
    for epoch, loss in enumerate(losses):
        if epoch - start < CONVERGED:
            start, end = epoch if loss < losses[start] else start, epoch
        else:
            first = losses[start : start + CONVERGED]
            is_above = loss > (1 + TOLERANCE) * sum(first) / CONVERGED
            above = above + 1 if is_above else 0
            end = end if is_above else epoch
            if above == ENDED:
                return Window(start, end, True)
    return Window(start, end, False)


def stop_reason(rows: Sequence[Mapping[str, float]], train: TrainConfig) -> str | None:
    """Why training ends after the epochs of the log, in words; None while it goes on.

    Args:
        rows: the log, one row per epoch.
        train: the settings.
    """
    settings = train.early_stopping
    if settings is not None and len(rows) >= settings.min_epochs:
        best = kept_epoch(rows, train.select)
        if len(rows) - best >= settings.patience:
            return (
                f"no epoch after epoch {best} was better by {train.select} on validation "
                f"(train.early_stopping.patience is {settings.patience})"
            )
    if train.average == "swad":
        window = swad_window([row[RAW_LOSS] for row in rows])
        if window.has_ended:
            return (
                f"the validation loss has risen for {ENDED} epochs, so SWAD averages the epochs "
                f"{window.start + 1} to {window.end + 1}"
            )
    return None
