"""torchvision's VGGs, cut after each of the last four max-poolings."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VGG

from fairexit.models.backbone import Backbone, TorchvisionFamily, backbones
from fairexit.models.heads import Head


class VGGHead(Head):
    """The classifier of a VGG: pooling to a grid of 7x7, then linear layers.

    Images below 224 px give a map smaller than the grid, whose pixels the pooling repeats. In
    training the repetition is folded into the first weight, 25,088 x 4096, so that the matrix
    product has the size of the map and the result is the same.
    """

    def features(self, x: Tensor) -> Tensor:
        assert isinstance(self.reduce, nn.Sequential)
        pool, _, first, *rest = self.reduce
        assert isinstance(first, nn.Linear)
        height, width = x.shape[-2:]
        cells = first.in_features // x.shape[1]
        # Pruning inspects each layer in evaluation mode, so every layer itself must run there.
        if not self.training or height * width >= cells:
            return super().features(x)
        with torch.autocast(x.device.type, enabled=False):
            pixels = torch.eye(height * width, dtype=first.weight.dtype, device=x.device)
            shares = pool(pixels.view(-1, 1, height, width)).flatten(1)
            weight = (first.weight.unflatten(1, (-1, cells)) @ shares.mT).flatten(1)
        z = F.linear(x.flatten(1), weight, first.bias)
        for layer in rest:
            z = layer(z)
        return z


@backbones.register("vgg")
class VGGs(TorchvisionFamily):
    """VGG-11, -13 and -16, with and without batch norm (Simonyan and Zisserman 2015).

    The features of the final exit are the 4096 inputs of the last linear layer.
    """

    def names(self) -> list[str]:
        return [f"vgg{depth}{norm}" for depth in (11, 13, 16) for norm in ("", "_bn")]

    def classifier(self, network: nn.Module) -> nn.Module:
        assert isinstance(network, VGG)
        return network.classifier[-1]

    def cut(self, network: nn.Module, *, image_size: int | None) -> Backbone:
        assert isinstance(network, VGG)
        layers = list(network.features)
        ends = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)][-4:]
        stages = [
            nn.Sequential(*layers[start:end])
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]
        widths = [[m.out_channels for m in s if isinstance(m, nn.Conv2d)][-1] for s in stages]
        *hidden, last = network.classifier
        assert isinstance(last, nn.Linear)
        head = VGGHead(nn.Sequential(network.avgpool, nn.Flatten(), *hidden), last)
        return Backbone(stages, widths, head, min_size=32)
