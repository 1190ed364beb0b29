"""Repeat a run from its record, and compare what comes out."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from fairexit.data.records import SPLITS
from fairexit.environment import differences, environment
from fairexit.errors import UserError, option, reason, short
from fairexit.evaluation.choice import stored_predictions
from fairexit.inference.inputs import open_data
from fairexit.inference.predict import predict
from fairexit.pipeline import make_run
from fairexit.processes import is_first
from fairexit.runs import Run
from fairexit.version import __version__

TIMES = ("seconds", "data_seconds")
"""Columns of the log that no two runs have in common."""


@dataclass(frozen=True)
class Part:
    """One part of two runs that is compared.

    Attributes:
        name: what it is.
        difference: the largest difference of two of its numbers; 0 if it is the same, infinity if
            the two cannot be compared.
        detail: what else is known, "" for nothing.
    """

    name: str
    difference: float
    detail: str = ""


@dataclass(frozen=True)
class Rerun:
    """A run and its repetition.

    Attributes:
        run: the repetition.
        parts: what was compared.
        changed: name of a version or a part of the machine -> what it was and what it is.
    """

    run: Run
    parts: tuple[Part, ...]
    changed: dict[str, tuple[str, str]]

    @property
    def equal(self) -> bool:
        """Whether every number is the same to the last bit."""
        return all(part.difference == 0 for part in self.parts)


def rerun(run: Run, out: Path) -> Rerun:
    """Train, and if its settings say so prune or refit, a run again, and compare both.

    All is made anew from the settings: a run that was pruned or refitted from another one trains
    that one too. Resumes if it was interrupted.

    Args:
        run: a finished run.
        out: folder of the repetition.
    Returns:
        The comparison; of several processes, only the first one compares.
    Raises:
        UserError: the run was trained outside this package, its data are missing or have changed,
            or as for `make_run`.
    """
    if run.description.get("own_loop"):
        raise UserError(
            f"{run.path} was trained by a loop of your own, of which it has no record to repeat"
        )
    if out.resolve() == run.path.resolve():
        raise UserError(f"{option('out')} is the run itself; choose another folder")
    open_data(run)
    again = make_run(run.config, out)
    if not is_first():
        return Rerun(again, (), {})
    return compare(run, again)


def compare(run: Run, again: Run) -> Rerun:
    """Compare the weights, the log and the predictions of two finished runs.

    Predictions are those of the splits that the first run has stored; they are made for the second
    where it has none.
    """
    splits = [split for split in SPLITS if run.predictions(split).is_file()]
    missing = [split for split in splits if not again.predictions(split).is_file()]
    if missing:
        predict(again, missing, device=run.config.train.device)
    parts = [_weights(run, again), *_log(run, again)]
    parts += [_predictions(run, again, split) for split in splits]
    return Rerun(again, tuple(parts), _changes(run))


def _weights(run: Run, again: Run) -> Part:
    try:
        old, new = load_file(run.weights), load_file(again.weights)
    except Exception as error:  # safetensors has errors of its own for damaged files
        raise UserError(f"weights cannot be read ({short(reason(error), 200)})") from None
    if old.keys() != new.keys() or any(old[k].shape != new[k].shape for k in old):
        return Part("weights", math.inf, "the networks have other parameters")
    changed = sum(not np.array_equal(old[k], new[k]) for k in old)
    largest = max(_largest(old[k].astype(np.float64) - new[k]) for k in old)
    return Part("weights", largest, f"{changed} of {len(old)} tensors differ" if changed else "")


def _log(run: Run, again: Run) -> list[Part]:
    """The log; none if both runs have no epochs of their own, as pruned and refitted ones."""
    files = [each.path / "log.csv" for each in (run, again)]
    if not any(file.is_file() for file in files):
        return []
    try:
        old, new = map(pd.read_csv, files)
    except (OSError, ValueError) as error:
        raise UserError(f"a log cannot be read ({short(reason(error), 200)})") from None
    columns = [name for name in old.columns if name not in TIMES]
    if len(old) != len(new) or [c for c in new.columns if c not in TIMES] != columns:
        return [Part("log", math.inf, f"{len(old)} epochs, and {len(new)}")]
    before, after = (frame[columns].to_numpy(np.float64) for frame in (old, new))
    if not np.array_equal(np.isnan(before), np.isnan(after)):
        return [Part("log", math.inf, "a number is defined in one of them only")]
    return [Part("log", _largest(before - after), f"{len(old)} epochs, {len(columns)} columns")]


def _predictions(run: Run, again: Run, split: str) -> Part:
    name = f"predictions of {split}"
    old, new = stored_predictions(run, split), stored_predictions(again, split)
    if old.probabilities is None or new.probabilities is None or len(old) != len(new):
        return Part(name, math.inf, f"{len(old)} images, and {len(new)}")
    if not np.array_equal(old.ids, new.ids):
        return Part(name, math.inf, "the images are others, or in another order")
    if old.probabilities.shape != new.probabilities.shape:
        return Part(name, math.inf, "the exits are others")
    others = int((old.answers[:, -1] != new.answers[:, -1]).sum())
    detail = f"{others} of {len(old):,} final answers differ"
    difference = old.probabilities.astype(np.float64) - new.probabilities
    return Part(name, _largest(difference), detail)


def _largest(differences: Any) -> float:
    """The largest absolute difference; NaN, which both have, is none."""
    return float(np.nanmax(np.abs(differences), initial=0.0))


def _changes(run: Run) -> dict[str, tuple[str, str]]:
    """What of the record's environment is another one now."""
    recorded = run.description.get("environment")
    old = recorded if isinstance(recorded, dict) else {}
    old = {**old, "fairexit": run.description.get("fairexit", "unknown")}
    return differences(old, environment() | {"fairexit": __version__})
