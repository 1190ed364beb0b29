"""Heads: the classifiers at the exits, which read a feature map.

A new head is a subclass of `Head` with the arguments (width, num_classes), registered in `heads`.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.errors import UserError
from fairexit.registry import Registry
from fairexit.types import Exit


class Mixture(nn.Module):
    """Several linear classifiers; the output is the logarithm of their mean probabilities.

    Args:
        in_features: number of features D.
        num_classes: number of classes C.
        parts: number of classifiers M.
    """

    def __init__(self, in_features: int, num_classes: int, parts: int) -> None:
        super().__init__()
        self.in_features, self.parts = in_features, parts
        self.linear = nn.Linear(in_features, parts * num_classes)

    def forward(self, z: Tensor) -> Tensor:
        logs = self.linear(z).unflatten(-1, (self.parts, -1)).log_softmax(-1)
        return logs.logsumexp(-2) - math.log(self.parts)


class Head(nn.Module):
    """Reduces a feature map to a vector z, which a classifier reads.

    Args:
        reduce: module that maps a stage's feature map (B, C, H, W) to z (B, D).
        classifier: linear layer from D features to C classes; `ExitNet.mix` replaces it.
    """

    min_map: ClassVar[int] = 1
    """Smallest height and width of the feature map."""

    classifier: nn.Linear | Mixture

    def __init__(self, reduce: nn.Module, classifier: nn.Linear) -> None:
        super().__init__()
        self.reduce = reduce
        self.classifier = classifier

    def features(self, x: Tensor) -> Tensor:
        """The vector z (B, D) of each sample.

        Raises:
            UserError: the feature map is smaller than this head can take.
        """
        height, width = x.shape[-2:]
        if min(height, width) < self.min_map:
            raise SmallMapError(
                f"{type(self).__name__} needs a feature map of at least "
                f"{self.min_map}x{self.min_map}, but gets {height}x{width}"
            )
        return self.reduce(x)

    def forward(self, x: Tensor) -> Exit:
        z = self.features(x)
        return Exit(self.classifier(z), z)


class SmallMapError(UserError):
    """The feature map is smaller than the head can take; larger images give larger maps."""


heads: Registry[Head] = Registry("head", "fairexit.models", Head, ("width", "num_classes"))


@heads.register("conv")
class ConvHead(Head):
    """One strided 3x3 convolution, batch norm, ReLU and global average pooling.

    The stride keeps it cheap: four of them add about 3 % to the multiply-adds of a ResNet-18.

    Args:
        width: number of channels of the feature map.
        num_classes: number of classes C.
    """

    channels: ClassVar[int] = 64

    def __init__(self, width: int, num_classes: int) -> None:
        reduce = nn.Sequential(
            nn.Conv2d(width, self.channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(self.channels),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        super().__init__(reduce, nn.Linear(self.channels, num_classes))

    def features(self, x: Tensor) -> Tensor:
        # On a map of one pixel oneDNN's bfloat16 weight gradient of a strided convolution is wrong
        # (torch 2.14, AVX-512). A border of zeros avoids that and leaves the output unchanged.
        return super().features(F.pad(x, (0, 1, 0, 1)) if x.shape[-2:] == (1, 1) else x)


class MixedPool(nn.Module):
    """Average and max pooling to a grid, mixed by one learnt weight that starts at one half."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.mix = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        average = F.adaptive_avg_pool2d(x, self.grid)
        return torch.lerp(average, F.adaptive_max_pool2d(x, self.grid), self.mix.sigmoid())


@heads.register("pool")
class PoolHead(Head):
    """Mixed average and max pooling to a 4x4 grid (Shallow-Deep Networks, Kaya et al. 2019).

    Args:
        width: number of channels of the feature map.
        num_classes: number of classes C.
    """

    grid: ClassVar[int] = 4

    def __init__(self, width: int, num_classes: int) -> None:
        reduce = nn.Sequential(MixedPool(self.grid), nn.Flatten())
        super().__init__(reduce, nn.Linear(width * self.grid**2, num_classes))


@heads.register("released")
class ReleasedHead(Head):
    """The layout of the authors' released scripts: two convolutions without an activation.

    Between them the map is resized to 64x64, which makes this head expensive. Without an activation
    it is linear.

    Args:
        width: number of channels of the feature map.
        num_classes: number of classes C.
    """

    min_map: ClassVar[int] = 3

    def __init__(self, width: int, num_classes: int) -> None:
        reduce = nn.Sequential(
            nn.Conv2d(width, 64, 3),
            nn.AdaptiveAvgPool2d(64),
            nn.Conv2d(64, 32, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        super().__init__(reduce, nn.Linear(32, num_classes))
