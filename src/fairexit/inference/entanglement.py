"""Entanglement of the features at each depth of a network with the attribute and the target."""

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
from fairexit.evaluation.independence import permuted_labels
from fairexit.inference.inputs import open_data
from fairexit.inference.predict import choose_device
from fairexit.losses.snnl import ExactSnnl, exact_snnl
from fairexit.models import ExitNet
from fairexit.progress import track
from fairexit.runs import Run
from fairexit.training.checkpoint import load_net
from fairexit.types import UNKNOWN, Batch

FEATURES = {"pooled": "globally pooled stage maps", "exits": "inputs of each exit's last layer"}
SCALES = {"none": "unscaled features", "unit": "features of unit length"}
UNITS = {True: "T in mean squared distances", False: "raw T"}
TEMPERATURES = (0.1, 0.3, 1.0)
TARGET = "target"
PERMUTATIONS = 10
"""Permutations of the labels that show what independence of the features gives."""

Features = Literal["pooled", "exits"]
FeatureScale = Literal["none", "unit"]


class Depth(NamedTuple):
    """Features of the same N images at each position of a network.

    Attributes:
        features: position -> features, (N, D_p).
        labels: classes, (N,).
        groups: group indices or UNKNOWN, (N,).
    """

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

    Images whose attribute is not known are left out of the loss of the attribute, but not of the
    target's.

    Args:
        run: a finished run, plain or multi-exit.
        split: the split whose images are used.
        group: the sensitive attribute; by default the run's.
        temperatures: one or more, above zero.
        relative: whether the temperatures are in units of the mean squared distance at a position.
        features: `pooled`: the maps of the four stages, averaged over their pixels, and the final
            features if they differ from the last of these; `exits`: the features z of each exit.
        scale: `none`, or `unit` to scale each image's features to length one.
        data: other prepared data than the run's.
        device: where to compute: `auto`, `cpu`, `cuda` and so on.
        batch_size: images per batch; this changes only speed and memory.
    Raises:
        UserError: a temperature is not valid, or the loss is not defined on the split.
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
    target_device = choose_device(device)
    net = load_net(run).to(target_device)
    if features == "exits" and net.num_exits == 1:
        raise UserError(
            f"{run.path} has a single exit, so set {option('features')} to pooled, not exits"
        )
    loader = Loader(prepared, rows, task.group, batch_size=batch_size, device=target_device)
    source = f"{prepared.path}, split '{split}'"
    _check_labels(loader.groups, source, task.group)
    _check_labels(loader.labels, source, "label")
    batches = track(loader.evaluation(Augment("none", 0)), run.path.name, loader.steps())
    depth = features_by_depth(net, batches, features)
    clusters = pd.factorize(prepared.clusters[rows])[0]
    labels = [depth.groups, depth.labels]
    permuted = [
        torch.from_numpy(permuted_labels(label.cpu().numpy(), clusters, PERMUTATIONS)).to(label)
        for label in labels
    ]
    losses = []
    for name, z in depth.features.items():
        if not z.isfinite().all():
            raise UserError(f"{run.path}: the features at position {name} are not finite")
        z = F.normalize(z) if scale == "unit" else z
        losses.append(exact_snnl(z, labels, temperatures, relative=relative, permuted=permuted))
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
        _rows(losses, list(depth.features), names, temperatures=temperatures, clusters=clusters),
    )


@torch.inference_mode()
def features_by_depth(net: ExitNet, batches: Iterable[Batch], features: Features) -> Depth:
    """The features of all images at each position, in the order of the batches.

    Args:
        net: the network in evaluation mode.
        batches: the images with their labels and groups.
        features: as for `measure_entanglement`.
    """
    parts: dict[str, list[Tensor]] = {}
    labels, groups = [], []
    for batch in batches:
        if features == "exits":
            exits = net(batch.images)
            by_position = {n: e.features for n, e in zip(net.exit_names, exits, strict=True)}
        else:
            by_position = _pooled(net, batch.images)
        for name, z in by_position.items():
            parts.setdefault(name, []).append(z.float())
        labels.append(batch.labels)
        groups.append(batch.groups)
    whole = {name: torch.cat(part) for name, part in parts.items()}
    if features == "pooled":
        *_, deepest, final = whole.values()
        # In a network that ends in global average pooling, both are the same.
        if deepest.shape == final.shape and torch.allclose(deepest, final, rtol=1e-3, atol=1e-5):
            del whole["f"]
    return Depth(whole, torch.cat(labels), torch.cat(groups))


def _pooled(net: ExitNet, images: Tensor) -> dict[str, Tensor]:
    """Position -> pooled features (B, D_p): the stages "1", "2" ... and the final features "f"."""
    net.check_size(*images.shape[-2:])
    pooled, x = {}, net.backbone.normalise(images)
    for number, stage in enumerate(net.backbone.stages, 1):
        x = stage(x)
        pooled[str(number)] = net.backbone.to_map(x).flatten(2).mean(2)
    return {**pooled, "f": net.backbone.head(x).features}


def _rows(
    losses: Sequence[ExactSnnl],
    positions: Sequence[str],
    labelings: dict[str, Tensor],
    *,
    temperatures: Sequence[float],
    clusters: NDArray[np.int64],
) -> pd.DataFrame:
    """The table of an `Entanglement`.

    Args:
        losses: the losses at each position.
        positions: names of the positions.
        labelings: name -> labels or UNKNOWN, (N,), in the order in which the losses have them.
        temperatures: in the order in which the losses have them.
        clusters: number of each image's cluster, (N,).
    """
    values = torch.stack([loss.value for loss in losses], -1).cpu().numpy()
    influence = torch.stack([loss.influence for loss in losses], -2).cpu().numpy()
    independent = torch.stack([loss.independent for loss in losses], -1).cpu().numpy()
    units = np.array([loss.unit for loss in losses])
    tables = []
    for s, (name, labels) in enumerate(labelings.items()):
        known = labels[labels != UNKNOWN]
        shares = known.bincount() / len(known)
        for t, temperature in enumerate(temperatures):
            table = depth_table(
                values[s, t],
                influence[s, t],
                clusters,
                positions,
                independent=independent[s, t],
            )
            table.insert(0, "of", name)
            table.insert(1, "temperature", temperature)
            table["entropy"] = float(torch.special.entr(shares).sum())
            table["raw_temperature"] = temperature * np.array([*units, units.mean()])
            table["images"] = int(losses[0].counted[s])
            table["without_partner"] = int(losses[0].without_partner[s])
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _check(temperatures: Sequence[float]) -> None:
    """Raise a UserError unless the temperatures are positive, finite and different."""
    if not temperatures:
        raise UserError(f"{option('temperatures')} is empty; give at least one number above 0")
    for temperature in temperatures:
        if not 0 < temperature < float("inf"):
            raise UserError(
                f"{option('temperatures')} has {temperature:g}; each must be finite and above 0"
            )
    if len(set(temperatures)) < len(temperatures):
        raise UserError(f"{option('temperatures')} has the same number twice; give different ones")


def _check_labels(labels: Tensor, source: str, name: str) -> None:
    """Raise a UserError unless there are two values, and two images with the same one.

    Args:
        labels: labels or UNKNOWN, (N,).
        source: the data as messages show them.
        name: of the labels, for messages.
    """
    counts = labels[labels != UNKNOWN].bincount()
    if (counts > 0).sum() < 2:
        raise UserError(
            f"{source}: there are fewer than two values of {name}, so entanglement is not defined"
        )
    if counts.max() < 2:
        raise UserError(
            f"{source}: no two images have the same {name}, so entanglement is not defined"
        )
