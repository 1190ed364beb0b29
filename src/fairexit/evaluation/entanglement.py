"""Entanglement by depth: its change with intervals, means over runs, and its files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.csv_files import write_csv
from fairexit.errors import UserError
from fairexit.files import write_json
from fairexit.stats.seeds import half_width

MEAN = "mean"
"""The `position` of a row that holds the mean over the positions."""
KEY = ["of", "temperature", "position"]
INTERVALS = ("snnl", "change")
AVERAGED = ("independent", "independent_change", "entropy", "raw_temperature")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Entanglement:
    """The entanglement of a run by depth, or the mean of several runs.

    Attributes:
        name: of the run.
        settings: the settings that the numbers depend on: `split`, `group`, `features`, `scale`
            and `unit` (of the temperatures).
        interval: the sources of variation that the intervals include.
        rows: one row per label (`of`: the attribute or "target"), `temperature` and `position`
            (the stage from "1", "f" for the final features, "mean" for the mean over positions).
            Columns, in nats: `snnl` and `change`, its difference from the previous position, each
            with its standard error `_se` and 95 % interval `_low`, `_high`; `independent` and
            `independent_change`, the same for labels that are independent of the features, as the
            mean over permutations of the labels; `entropy` of the label, which `independent`
            approaches if every image has many neighbours. Others: `raw_temperature`;
            `images`, the number used; `without_partner`, the number of images left out because
            no other image has their label.
    """

    name: str
    settings: dict[str, str]
    interval: str
    rows: pd.DataFrame

    def write(self, folder: Path) -> list[Path]:
        """Write `entanglement.json` and `entanglement.csv`."""
        records = json.loads(self.rows.to_json(orient="records", double_precision=10))
        tree = {
            "name": self.name,
            "settings": self.settings,
            "interval": self.interval,
            "rows": records,
        }
        files = [folder / "entanglement.json", folder / "entanglement.csv"]
        write_json(files[0], tree)
        settings = self.rows.assign(**self.settings)
        write_csv(files[1], settings, float_format="%.8g")
        return files


def read_entanglement(path: Path) -> Entanglement:
    """Read `entanglement.json`.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    try:
        tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows = _rows(tree["rows"])
        texts = [tree["name"], tree["interval"], *tree["settings"].values()]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError
        return Entanglement(tree["name"], tree["settings"], tree["interval"], rows)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise UserError(
            f"{path} is damaged or of an earlier version; make it again with `fairexit entangle`"
        ) from None


def _rows(records: Any) -> pd.DataFrame:
    """The rows of `entanglement.json`, their numbers as floats.

    Raises:
        ValueError, KeyError, TypeError: a column is missing or holds something else.
    """
    rows = pd.DataFrame(records)
    texts = ["of", "position"]
    measured = [f"{name}{part}" for name in INTERVALS for part in ("", "_se", "_low", "_high")]
    numbers = ["temperature", *measured, *AVERAGED, "images", "without_partner"]
    if rows.empty or not rows[texts].map(lambda value: isinstance(value, str)).all(axis=None):
        raise ValueError
    positions = rows.groupby(["of", "temperature"])["position"].agg(lambda p: tuple(sorted(p)))
    if positions.nunique() != 1 or MEAN not in positions.iloc[0]:
        raise ValueError
    return rows.assign(**rows[numbers].astype(float))


def depth_table(
    values: Array,
    influence: Array,
    clusters: NDArray[np.int64],
    positions: Sequence[str],
    *,
    independent: Array,
) -> pd.DataFrame:
    """Values by position, their changes with depth, and 95 % intervals over clusters.

    The standard error is that of the infinitesimal jackknife (Efron 1982): influences are summed
    within each of the C clusters, and the variance is the sum of their squares times C / (C - 1).
    Changes are differences of values on the same images, and so are their influences.

    Args:
        values: SNNL at each position, (P,).
        influence: derivatives of the values with respect to the samples' weights, (P, N).
        clusters: index of each sample's cluster from 0, (N,).
        positions: P names.
        independent: SNNL at each position if the labels were independent of the features, (P,).
    Returns:
        P + 1 rows, of which the last holds the means: `position`, `snnl` and `change` with `_se`,
        `_low` and `_high`, `independent` and `independent_change`. The first position has no
        change.
    """
    table = pd.DataFrame({"position": [*positions, MEAN]})
    for name, rows, parts in (
        ("snnl", _with_mean(values), _with_mean(influence)),
        ("change", _changes(values), _changes(influence)),
    ):
        table[name] = rows
        table[f"{name}_se"] = cluster_error(parts, clusters)
    table["independent"] = _with_mean(independent)
    table["independent_change"] = _changes(independent)
    return _with_intervals(table, {name: half_width(table[f"{name}_se"]) for name in INTERVALS})


def _with_mean(values: Array) -> Array:
    """Values at P positions, (P, ...), and their mean."""
    return np.concatenate([values, values.mean(0, keepdims=True)])


def _changes(values: Array) -> Array:
    """Differences from the previous position and their mean, (P + 1, ...); NaN where undefined."""
    undefined = np.full_like(values[:1], np.nan)
    steps = np.diff(values, axis=0)
    mean = steps.mean(0, keepdims=True) if len(steps) else undefined
    return np.concatenate([undefined, steps, mean])


def cluster_error(influence: Array, clusters: NDArray[np.int64]) -> Array:
    """Standard errors (P,) from influences (P, N), which are summed within clusters (N,)."""
    count = int(clusters.max()) + 1
    sums = np.stack([np.bincount(clusters, row, count) for row in influence])
    error: Array = np.sqrt((sums**2).sum(1) * count / max(count - 1, 1))
    return error


def mean_over_folds(results: Sequence[Entanglement]) -> Entanglement:
    """The mean over the folds of one seed.

    The folds have no image and no cluster in common, so their errors over images are independent.

    Raises:
        UserError: settings or positions differ, or there are no results.
    """
    rows, stacked = _stack(results)
    first = results[0]
    if len(results) == 1:
        return first
    for name in INTERVALS:
        rows[name] = stacked[name].mean(0)
        rows[f"{name}_se"] = np.sqrt((stacked[f"{name}_se"] ** 2).sum(0)) / len(results)
    rows = _with_intervals(rows, {name: half_width(rows[f"{name}_se"]) for name in INTERVALS})
    for name in AVERAGED:
        rows[name] = stacked[name].mean(0)
    for name in ("images", "without_partner"):
        rows[name] = stacked[name].sum(0)
    name = f"Mean of {first.name} and {len(results) - 1} more folds"
    interval = f"{first.interval} of each of {len(results)} folds"
    return Entanglement(name, first.settings, interval, rows)


def mean_over_runs(results: Sequence[Entanglement]) -> Entanglement:
    """The mean over runs that differ in their seed.

    The variance of the mean is the variance over images plus that over seeds. The former is the
    square of the runs' mean standard error, because the runs share their images and their errors
    may be correlated; the latter is the variance over the R runs divided by R. Intervals are those
    of `fairexit.stats.seeds.half_width`; `_sd` is the standard deviation over runs.

    Raises:
        UserError: settings or positions differ, or there are no results.
    """
    rows, stacked = _stack(results)
    first = results[0]
    if len(results) == 1:
        return first
    halves = {}
    for name in INTERVALS:
        rows[name] = stacked[name].mean(0)
        rows[f"{name}_sd"] = stacked[name].std(0, ddof=1)
        images = stacked[f"{name}_se"].mean(0)
        rows[f"{name}_se"] = np.sqrt(images**2 + rows[f"{name}_sd"] ** 2 / len(results))
        halves[name] = half_width(images, rows[f"{name}_sd"], len(results))
    rows = _with_intervals(rows, halves)
    for name in (*AVERAGED, "images", "without_partner"):
        rows[name] = stacked[name].mean(0)
    name = f"Mean of {first.name} and {len(results) - 1} more"
    return Entanglement(name, first.settings, f"{first.interval} and {len(results)} runs", rows)


def _stack(results: Sequence[Entanglement]) -> tuple[pd.DataFrame, dict[str, Array]]:
    """The rows' keys, and each column of R results as (R, rows).

    Raises:
        UserError: settings or positions differ, or there are no results.
    """
    if not results:
        raise UserError("there is no entanglement to average; give at least one")
    first = results[0]
    for other in results[1:]:
        for key, value in first.settings.items():
            if other.settings.get(key) != value:
                raise UserError(
                    f"{other.name} was measured with {key} '{other.settings.get(key)}', "
                    f"{first.name} with '{value}', so they cannot be averaged"
                )
        if other.rows[KEY].values.tolist() != first.rows[KEY].values.tolist():
            raise UserError(
                f"{other.name} and {first.name} have different positions or temperatures, so they "
                "cannot be averaged"
            )
    stacked = {c: np.stack([r.rows[c] for r in results]) for c in first.rows if c not in KEY}
    return first.rows[KEY].copy(), stacked


def _with_intervals(rows: pd.DataFrame, halves: Mapping[str, Array]) -> pd.DataFrame:
    for name, half in halves.items():
        rows[f"{name}_low"], rows[f"{name}_high"] = rows[name] - half, rows[name] + half
    return rows
