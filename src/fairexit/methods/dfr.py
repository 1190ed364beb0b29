"""Deep feature reweighting (Kirichenko et al. 2023): the last layers, refitted on balanced data."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import nn

from fairexit.errors import UserError, short
from fairexit.methods.base import methods
from fairexit.methods.l1_logistic import Array, Layer, fit_l1_logistic
from fairexit.methods.stages import HeldOut, Refitted
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import UNKNOWN, Task

STRENGTHS = (0.01, 0.03, 0.07, 0.1, 0.3, 0.7, 1.0)
"""The values of C that are compared, from the sparsest; those of the source."""
COMPARED = 5
"""Number of subsamples on which the values of C are compared; the source has one."""
TOLERANCE = 1e-6
"""Tolerance of each fit; it moves a layer less than another subsample does."""


@methods.register("dfr")
class Dfr(Refitted, capturable=True):
    """Refits the last layers on group-balanced held-out data (Kirichenko et al. 2023).

    The network is trained by ERM. Then the trunk and the heads are frozen, and each exit's last
    layer becomes the mean of L1 logistic regressions on subsamples of one half of the validation
    split. Its strength C is the one with the best worst group on the other half; a group's
    accuracy is the mean over its classes, because the rarest cell of class and group, by which the
    source chooses, may hold a few images only.

    Args:
        refits: number of subsamples.
        balance: `cells` draws the same number from each cell of class and group, as the source
            does; `groups` draws the same number from each group of a class, and leaves the classes
            in proportion to these numbers.
    """

    search_space = (Axis("method.balance", ("cells", "groups")),)

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        refits: PositiveInt = 20,
        balance: Literal["cells", "groups"] = "cells",
    ) -> None:
        super().__init__(net, task, exit_weights)
        for name, head in zip(net.exit_names, net.exit_heads, strict=True):
            if type(head.classifier) is not nn.Linear:
                raise UserError(
                    f"method 'dfr' refits linear layers, but the last layer of exit {name} is "
                    f"{type(head.classifier).__name__}; choose another method or head"
                )
        self.refits, self.balance = refits, balance

    def refit(self, held_out: HeldOut, seed: int) -> dict[str, Any]:
        known = held_out.groups != UNKNOWN
        held_out = HeldOut([z[known] for z in held_out.features], *(a[known] for a in held_out[1:]))
        counts = self.count_cells(held_out)
        rows = [*self._subsamples(held_out, counts, seed)]
        exits = {}
        for k, (name, head) in enumerate(
            zip(self.net.exit_names, self.net.exit_heads, strict=True)
        ):
            layer, exits[name] = self._refit_exit(held_out, k, rows)
            assert isinstance(head.classifier, nn.Linear)
            with torch.no_grad():
                head.classifier.weight.copy_(torch.from_numpy(layer.weight))
                head.classifier.bias.copy_(torch.from_numpy(layer.bias))
        single = [self.task.classes[c] for c in np.flatnonzero((counts > 0).sum(1) < 2)]
        return {
            "fitted": int(held_out.fits.sum()),
            "choosing": int((~held_out.fits).sum()),
            "subsample": len(rows[0]),
            "unbalanced": single,
            "exits": exits,
        }

    def count_cells(self, held_out: HeldOut) -> NDArray[np.int64]:
        """Number of the images to fit on of each class and group, (C, M).

        Raises:
            UserError: a class has none, no class has images of two groups, or there are no other
                images.
        """
        if held_out.fits.all():
            raise UserError(
                "method 'dfr' divides the validation split by cluster, but its images of known "
                f"{self.task.group} are one cluster; choose another method"
            )
        counts = np.zeros((self.task.num_classes, self.task.num_groups), np.int64)
        np.add.at(counts, (held_out.labels[held_out.fits], held_out.groups[held_out.fits]), 1)
        absent = [self.task.classes[c] for c in np.flatnonzero(counts.sum(1) == 0)]
        if absent:
            raise UserError(
                "method 'dfr' fits on one half of the validation split, which has no image of "
                f"class {short(', '.join(absent), 300)} with a known {self.task.group}; the class "
                "would never be predicted. Give validation more images, or choose another method"
            )
        if ((counts > 0).sum(1) < 2).all():
            raise UserError(
                "method 'dfr' needs held-out images of two groups in a class, but in the half of "
                f"the validation split that it fits on each class has one group of "
                f"{self.task.group}; choose another method or another data.group"
            )
        return counts

    def _subsamples(
        self, held_out: HeldOut, counts: NDArray[np.int64], seed: int
    ) -> Iterator[NDArray[np.int64]]:
        """The balanced subsamples of the images to fit on, as indices."""
        rng = np.random.default_rng(seed)
        filled = np.where(counts > 0, counts, np.iinfo(np.int64).max)
        sizes = filled.min(1)  # of each group of a class
        if self.balance == "cells":
            sizes[:] = sizes.min()
        members = [
            (np.flatnonzero(held_out.fits & (held_out.labels == c) & (held_out.groups == g)), c)
            for c, g in zip(*counts.nonzero(), strict=True)
        ]
        for _ in range(self.refits):
            yield np.concatenate([rng.choice(rows, sizes[c], replace=False) for rows, c in members])

    def _refit_exit(
        self, held_out: HeldOut, k: int, subsamples: Sequence[NDArray[np.int64]]
    ) -> tuple[Layer, dict[str, Any]]:
        """The new last layer of exit k, standardisation included, and a record of it."""
        z = held_out.features[k].astype(np.float64)
        mean, scale = z[held_out.fits].mean(0), z[held_out.fits].std(0)
        scale = np.where(scale > 1e-8, scale, 1.0)  # a constant feature gets the weight 0
        x = (z - mean) / scale
        compared = [self._path(x, held_out.labels, rows) for rows in subsamples[:COMPARED]]
        scores = [
            self._worst_group(held_out, x, _mean([path[i] for path in compared]))
            for i in range(len(STRENGTHS))
        ]
        best = int(np.argmax(scores))
        layers = [path[best] for path in compared]
        for rows in subsamples[COMPARED:]:
            layers.append(self._fit(x[rows], held_out.labels[rows], STRENGTHS[best], layers[-1]))
        layer = _mean(layers)
        record = {
            "C": STRENGTHS[best],
            "worst_group": dict(zip(map(str, STRENGTHS), scores, strict=True)),
            "nonzero": float((layer.weight != 0).mean()),
        }
        weight = layer.weight / scale
        return Layer(weight, layer.bias - weight @ mean), record

    def _path(self, x: Array, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> list[Layer]:
        """The layers of a subsample for all strengths; each starts from the one before."""
        layers: list[Layer] = []
        for strength in STRENGTHS:
            start = layers[-1] if layers else None
            layers.append(self._fit(x[rows], labels[rows], strength, start))
        return layers

    def _fit(
        self, x: Array, labels: NDArray[np.int64], strength: float, start: Layer | None
    ) -> Layer:
        classes = self.task.num_classes
        return fit_l1_logistic(
            x, labels, classes, strength=strength, start=start, tolerance=TOLERANCE
        )

    def _worst_group(self, held_out: HeldOut, x: Array, layer: Layer) -> float:
        """The lowest balanced accuracy of a group, among the images that choose."""
        chooses = ~held_out.fits
        labels, groups = held_out.labels[chooses], held_out.groups[chooses]
        is_right = (x[chooses] @ layer.weight.T + layer.bias).argmax(1) == labels
        worst = 1.0
        for group in np.unique(groups):
            classes = np.unique(labels[groups == group])
            recalls = [is_right[(groups == group) & (labels == c)].mean() for c in classes]
            worst = min(worst, float(np.mean(recalls)))
        return worst


def _mean(layers: Sequence[Layer]) -> Layer:
    """The mean of several layers."""
    return Layer(*(np.mean(parts, axis=0) for parts in zip(*layers, strict=True)))
