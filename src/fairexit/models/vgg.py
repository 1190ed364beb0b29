"""VGGs of torchvision, cut after each of the last four max-poolings."""

from torch import nn
from torchvision.models import VGG

from fairexit.models.backbone import Backbone, TorchvisionFamily, backbones
from fairexit.models.heads import Head


@backbones.register("vgg")
class VGGs(TorchvisionFamily):
    """VGG-11, -13 and -16, with and without batch norm (Simonyan and Zisserman 2015).

    The final features are the 4096 numbers that the last linear layer reads.
    """

    def names(self) -> list[str]:
        return [f"vgg{depth}{norm}" for depth in (11, 13, 16) for norm in ("", "_bn")]

    def classifier(self, network: nn.Module) -> nn.Module:
        assert isinstance(network, VGG)
        layer: nn.Module = network.classifier[-1]
        return layer

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
        head = Head(nn.Sequential(network.avgpool, nn.Flatten(), *hidden), last)
        return Backbone(stages, widths, head, min_size=32)
