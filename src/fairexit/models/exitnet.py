"""The multi-exit network: a backbone with classifiers after its stages."""

import copy
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fairexit.errors import UserError
from fairexit.models.backbone import Backbone
from fairexit.models.heads import Head, Mixture, SmallMapError
from fairexit.types import Exit

LARGEST = 4096
"""Upper limit of the search for an image side, in pixels."""

WRAPPED = ("module", "_orig_mod", "_forward_module")
"""Names under which wrappers hold the network: (Distributed)DataParallel, AveragedModel,
torch.compile, Fabric."""


def widen(logits: Tensor) -> Tensor:
    """Convert to at least float32: half precision could round a confidence up to a threshold."""
    return logits if logits.dtype.itemsize >= 4 else logits.float()


def unwrap(net: nn.Module) -> "ExitNet":
    """The multi-exit network inside wrappers such as DataParallel, torch.compile or Fabric.

    Raises:
        UserError: there is none.
    """
    inner = net
    while not isinstance(inner, ExitNet):
        wrapped = next((m for name, m in inner.named_children() if name in WRAPPED), None)
        if wrapped is None:
            raise UserError(
                f"{type(net).__name__} is not a network of fairexit.create_model, nor a wrapper "
                "of one; if it holds one as an attribute, as a LightningModule does, give that"
            )
        inner = wrapped
    return inner


class ExitNet(nn.Module):
    """A multi-exit network; without internal classifiers it is the plain network.

    The trunk runs once. If the last stage has an exit, its map feeds both that exit and CLF_f.

    Args:
        backbone: the stages and the final classifier.
        heads: internal classifiers by stage number, from 1.
        num_classes: number of classes C.
        config: arguments of `create_model` that rebuild the network, in plain values.

    Attributes:
        exit_names: "1" to "4" for the internal exits, "f" for the final one.
        positions: index of the stage that each exit reads, from 0.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[int, Head],
        num_classes: int,
        config: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict({str(number): heads[number] for number in sorted(heads)})
        self.num_classes = num_classes
        self.config = dict(config)
        self.exit_names = [*self.heads, "f"]
        self.positions = [*(int(name) - 1 for name in self.heads), len(backbone.stages) - 1]

    @property
    def num_exits(self) -> int:
        """Number of exits E, the final one included."""
        return len(self.exit_names)

    @property
    def exit_heads(self) -> list[Head]:
        """The classifier of each exit, the final one last."""
        return [*(cast(Head, head) for head in self.heads.values()), self.backbone.head]

    def mix(self, parts: int) -> None:
        """Replace each exit's classifiers by new ones whose mean probability is the prediction.

        Args:
            parts: number of classifiers at each exit, M, at least 2.
        """
        for head in self.exit_heads:
            device = next(head.classifier.parameters()).device
            mixture = Mixture(head.classifier.in_features, self.num_classes, parts)
            head.classifier = mixture.to(device)
        self.config["mixture"] = parts

    def forward(self, x: Tensor) -> list[Exit]:
        """Compute the output of every exit, the final one last.

        Args:
            x: images, (B, 3, H, W), with values from 0 to 1.
        Returns:
            E exits with logits (B, C) and features (B, D_k).
        Raises:
            UserError: the images are too small for the backbone or for a head.
        """
        return list(self._exits(x))

    def probabilities(self, x: Tensor) -> Tensor:
        """Class probabilities of every exit, (B, E, C), at least in float32."""
        return torch.stack([widen(exit.logits).softmax(-1) for exit in self(x)], dim=1)

    def check_size(self, height: int, width: int) -> None:
        """Raise a UserError if the network cannot take images of this size, in pixels."""
        smallest, fixed = self.backbone.min_size, self.backbone.fixed_size
        if min(height, width) < smallest or (fixed and max(height, width) > smallest):
            raise UserError(
                f"{self.config['name']} needs images of {'exactly' if fixed else 'at least'} "
                f"{smallest}x{smallest} px, but these have {height}x{width} px"
            )

    def internal_exit(self, position: int, x: Tensor) -> Exit | None:
        """Run the internal exit of a stage; None if the stage has no exit.

        Args:
            position: index of the stage, from 0.
            x: the stage's output.
        """
        name = str(position + 1)
        return self.heads[name](self.backbone.to_map(x)) if name in self.heads else None

    @torch.no_grad()
    def exit_costs(self, image_size: int) -> list[float]:
        """Multiply-adds of one image that leaves at each exit, all heads up to it included.

        They are counted from tensor shapes alone; nothing is computed.

        Args:
            image_size: height and width in pixels.
        Returns:
            Multiply-adds of each exit, E numbers.
        Raises:
            UserError: the images are too small for the backbone or for a head.
        """
        shapes = self._without_storage()
        images = torch.empty(1, 3, image_size, image_size, device="meta")
        with FlopCounterMode(display=False) as counter:
            return [counter.get_total_flops() / 2 for _ in shapes._exits(images)]

    def _exits(self, x: Tensor) -> Iterator[Exit]:
        """The exits in order; too small images raise a UserError that says which size works."""
        try:
            yield from self._run_stages(x)
        except SmallMapError as error:
            larger = "" if self.backbone.fixed_size else f"images of {self._smallest_side()} px, "
            raise UserError(f"{error}; use {larger}earlier exits or head 'conv'") from None

    def _smallest_side(self) -> int:
        """Smallest image side in pixels that every exit can take, computed from shapes alone."""
        shapes = self._without_storage()

        def fits(side: int) -> bool:
            try:
                return bool([*shapes._run_stages(torch.empty(1, 3, side, side, device="meta"))])
            except SmallMapError:
                return False

        sides = range(self.backbone.min_size, LARGEST)
        return sides[bisect_left(sides, True, key=fits)]

    def _run_stages(self, x: Tensor) -> Iterator[Exit]:
        """Run the stages one by one; yield each exit as soon as it is computed."""
        self.check_size(*x.shape[-2:])
        x = self.backbone.normalise(x)
        for position, stage in enumerate(self.backbone.stages):
            x = stage(x)
            exit = self.internal_exit(position, x)
            if exit is not None:
                yield exit
        yield self.backbone.head(x)

    def _without_storage(self) -> "ExitNet":
        """A copy in evaluation mode on the meta device: its tensors have shapes but no storage."""
        memo: dict[int, Any] = {
            id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
            for p in self.parameters()
        }
        memo |= {id(b): torch.empty_like(b, device="meta") for b in self.buffers()}
        return copy.deepcopy(self, memo).eval()
