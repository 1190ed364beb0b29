"""torchvision's ResNets, cut after each of the four residual stages."""

from typing import ClassVar

from torch import nn
from torchvision.models import ResNet

from fairexit.models.backbone import Backbone, TorchvisionFamily, backbones
from fairexit.models.heads import Head


@backbones.register("resnet")
class ResNets(TorchvisionFamily):
    """ResNet-18, -34 and -50 (He et al. 2016).

    The stem for small images is a 3x3 convolution of stride 1, followed by a 2x2 max pooling.
    """

    stems: ClassVar[tuple[str, ...]] = ("standard", "small")

    def names(self) -> list[str]:
        return ["resnet18", "resnet34", "resnet50"]

    def network(
        self, name: str, num_classes: int, *, stem: str, image_size: int | None
    ) -> nn.Module:
        network = super().network(name, num_classes, stem=stem, image_size=image_size)
        if stem == "small":
            network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
            network.maxpool = nn.MaxPool2d(2)
        return network

    def classifier(self, network: nn.Module) -> nn.Module:
        assert isinstance(network, ResNet)
        return network.fc

    def cut(self, network: nn.Module, *, image_size: int | None) -> Backbone:
        assert isinstance(network, ResNet)
        stem = [network.conv1, network.bn1, network.relu, network.maxpool]
        residual = [network.layer1, network.layer2, network.layer3, network.layer4]
        stages = [nn.Sequential(*stem, residual[0]), *residual[1:]]
        last = network.fc.in_features
        head = Head(nn.Sequential(network.avgpool, nn.Flatten()), network.fc)
        return Backbone(stages, [last // 8, last // 4, last // 2, last], head, min_size=28)
