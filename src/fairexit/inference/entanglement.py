"""Entanglement of attribute and target with the features at every position of a run's network."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.errors import UserError, option
from fairexit.evaluation.entanglement import Entanglement, depth_table
from fairexit.inference.inputs import open_data
from fairexit.inference.predict import choose_device
from fairexit.losses.snnl import ExactSnnl, exact_snnl
from fairexit.models import ExitNet
from fairexit.progress import track
from fairexit.runs import Run
from fairexit.training.checkpoint import load_net
from fairexit.types import UNKNOWN, Batch

FEATURES = {"pooled": "globally pooled stage maps", "exits": "what each exit's last layer reads"}
SCALES = {"none": "features as they are", "unit": "features of unit length"}
UNITS = {True: "T in mean squared distances", False: "raw T"}
TEMPERATURES = (0.1, 0.3, 1.0)
TARGET = "target"

Features = Literal["pooled", "exits"]
FeatureScale = Literal["none", "unit"]


class Depth(NamedTuple):
    """Features (N, D_p) of the same images at each position, by its name."""

    features: dict[str, Tensor]
    labels: Tensor
    groups: Tensor


def measure_entanglement(
    run: Run,
    *,
    split: str = "test",
    group: str | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    relative: bool = True,
    features: Features = "pooled",
    scale: FeatureScale = "none",
    data: Path | None = None,
    device: str = "auto",
    batch_size: int = 256,
) -> Entanglement:
    """Soft nearest neighbour loss (Frosst et al. 2019) of the attribute and the target, by depth.

    Images of unknown attribute are left out for the attribute and kept for the target.

    Args:
        run: a finished run, plain or multi-exit.
        split: whose images.
        group: the attribute; the run's own by default.
        temperatures: above zero.
        relative: in units of the mean squared distance at the position.
        features: `pooled`: the four stages' maps, averaged over their pixels, and the final
            features where they differ from the last of these; `exits`: z of every exit.
        scale: `unit` scales each image's features to length one.
        data: other prepared data than the run's own.
        device: where to compute.
        batch_size: images at a time; it changes speed and memory only.
    Raises:
        UserError: bad temperatures, or a split that cannot be measured.
    """
    _check(temperatures)
    prepared = open_data(run, data)
    task = prepared.task(group or run.description["group"])
    if task.group == TARGET:
        raise UserError(
            f"an attribute called '{TARGET}' cannot be distinguished from the target; prepare the "
            "data with another name for it"
        )
    rows = prepared.rows(split, run.config.data.fold)
    where = choose_device(device)
    net = load_net(run).to(where)
    if features == "exits" and net.num_exits == 1:
        raise UserError(
            f"{run.path} has a single exit, so set {option('features')} to pooled, not exits"
        )
    loader = Loader(prepared, rows, task.group, batch_size=batch_size, device=where)
    _check_labels(loader.groups, f"{prepared.path}, split '{split}'", task.group)
    _check_labels(loader.labels, f"{prepared.path}, split '{split}'", "label")
    batches = track(loader.evaluation(Augment("none", 0)), f"{run.path.name}", loader.steps())
    depth = features_by_depth(net, batches, features)
    found = []
    for name, z in depth.features.items():
        if not z.isfinite().all():
            raise UserError(f"{run.path}: the features at position {name} are not finite")
        z = F.normalize(z) if scale == "unit" else z
        found.append(exact_snnl(z, [depth.groups, depth.labels], temperatures, relative=relative))
    clusters = pd.factorize(prepared.clusters[rows])[0]
    names = {task.group: depth.groups, TARGET: depth.labels}
    return Entanglement(
        run.label,
        {
            "split": split,
            "group": task.group,
            "features": FEATURES[features],
            "scale": SCALES[scale],
            "unit": UNITS[relative],
        },
        f"{clusters.max() + 1} clusters",
        _rows(found, list(depth.features), names, temperatures=temperatures, clusters=clusters),
    )


@torch.inference_mode()
def features_by_depth(net: ExitNet, batches: Iterable[Batch], features: Features) -> Depth:
    """The features of all images at every position, in the order of the batches."""
    parts: dict[str, list[Tensor]] = {}
    labels, groups = [], []
    for batch in batches:
        if features == "exits":
            found = dict(zip(net.exit_names, (e.features for e in net(batch.images)), strict=True))
        else:
            found = _pooled(net, batch.images)
        for name, z in found.items():
            parts.setdefault(name, []).append(z.float())
        labels.append(batch.labels)
        groups.append(batch.groups)
    every = {name: torch.cat(part) for name, part in parts.items()}
    if features == "pooled":
        *_, deepest, final = every.values()
        # In networks that end in global average pooling they are one and the same.
        if deepest.shape == final.shape and torch.allclose(deepest, final, rtol=1e-3, atol=1e-5):
            del every["f"]
    return Depth(every, torch.cat(labels), torch.cat(groups))


def _pooled(net: ExitNet, images: Tensor) -> dict[str, Tensor]:
    net.check_size(*images.shape[-2:])
    found, x = {}, images
    for number, stage in enumerate(net.backbone.stages, 1):
        x = stage(x)
        found[str(number)] = net.backbone.to_map(x).flatten(2).mean(2)
    return {**found, "f": net.backbone.head(x).features}


def _rows(
    found: Sequence[ExactSnnl],
    positions: Sequence[str],
    names: dict[str, Tensor],
    *,
    temperatures: Sequence[float],
    clusters: NDArray[np.int64],
) -> pd.DataFrame:
    values = torch.stack([one.value for one in found], -1).cpu().numpy()
    influence = torch.stack([one.influence for one in found], -2).cpu().numpy()
    units = np.array([one.unit for one in found])
    parts = []
    for s, (name, labels) in enumerate(names.items()):
        shares = labels[labels != UNKNOWN].bincount() / (labels != UNKNOWN).sum()
        for t, temperature in enumerate(temperatures):
            part = depth_table(values[s, t], influence[s, t], clusters, positions)
            part.insert(0, "of", name)
            part.insert(1, "temperature", temperature)
            part["entropy"] = float(torch.special.entr(shares).sum())
            part["raw_temperature"] = temperature * np.array([*units, units.mean()])
            part["images"], part["without_partner"] = (
                int(found[0].counted[s]),
                int(found[0].without_partner[s]),
            )
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _check(temperatures: Sequence[float]) -> None:
    if not temperatures:
        raise UserError(f"{option('temperatures')} is empty; give at least one number above 0")
    for temperature in temperatures:
        if not 0 < temperature < float("inf"):
            raise UserError(
                f"{option('temperatures')} has {temperature:g}; each must be finite and above 0"
            )
    if len(set(temperatures)) < len(temperatures):
        raise UserError(f"{option('temperatures')} has the same number twice; give different ones")


def _check_labels(labels: Tensor, where: str, what: str) -> None:
    """At least two values, one of which two images share."""
    counts = labels[labels != UNKNOWN].bincount()
    if (counts > 0).sum() < 2:
        raise UserError(
            f"{where}: there are fewer than two values of {what}, so entanglement is not defined"
        )
    if counts.max() < 2:
        raise UserError(
            f"{where}: no two images have the same {what}, so entanglement is not defined"
        )
