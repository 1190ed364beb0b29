"""SCP: channels set to zero off which the attribute can be read."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from fairexit.config_prune import TRAITS, PruneConfig, Traits
from fairexit.errors import UserError
from fairexit.losses.cosine_snnl import cosine_snnl
from fairexit.models import ExitNet
from fairexit.pruning.channels import units_of_channels
from fairexit.pruning.criteria.base import Criterion, criteria
from fairexit.pruning.units import Units


@criteria.register("scp")
class Scp(Criterion):
    """Sets channels to zero off which the attribute can be read (Kong et al. 2024).

    A channel's score is the soft nearest neighbour loss of the attribute on its map, by cosine
    distance at T = 1; a low one means that the map tells the groups apart. At each step the same
    share of the channels of every chosen stage is edited.
    """

    traits: ClassVar[Traits] = TRAITS["scp"]
    within: ClassVar[bool] = True

    @classmethod
    def find_units(cls, net: ExitNet, config: PruneConfig) -> Units:
        units = units_of_channels(net, config.stages)
        for name, block in units.items():
            (channels,) = block.shape
            if round(config.ratios[-1] * channels) == channels:
                raise UserError(
                    f"prune.ratio {config.ratios[-1]:g} would set all {channels} channels of "
                    f"{name} to zero, which leaves it empty; give at most "
                    f"{1 - 1 / channels:.3f}"
                )
        return units

    @torch.no_grad()
    def measure(self, step: int) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {name: [] for name in self.units}
        groups: list[Tensor] = []
        for batch in self.subject.batches():
            groups.append(batch.groups)
            for name, maps in self._maps(batch.images):
                parts[name].append(maps)
        labels = torch.cat(groups)
        if labels.bincount().max() < 2:
            raise UserError(
                f"method 'scp' compares images of one group of {self.subject.task.group} with each "
                f"other, but each group has at most one of the {len(labels)} images; raise "
                "prune.images"
            )
        return {
            name: cosine_snnl(torch.cat(maps).transpose(0, 1), labels).cpu()
            for name, maps in parts.items()
        }

    def score(self, measured: dict[str, Tensor], beta: float | None) -> dict[str, Tensor]:
        return measured

    def _maps(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The chosen stages' names and maps, (B, C, H x W)."""
        backbone = self.subject.net.backbone
        waiting, x = set(self.units), backbone.normalise(images)
        for number, stage in enumerate(backbone.stages, 1):
            x, name = stage(x), f"stage {number}"
            if name in waiting:
                waiting.remove(name)
                yield name, x.flatten(2)
            if not waiting:
                return
