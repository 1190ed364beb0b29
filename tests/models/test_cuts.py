"""A cut backbone is the library's network: the same answers, the same parameters."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from fairexit.errors import UserError
from fairexit.models import backbones, create_model

TORCHVISION = ["resnet18", "resnet34", "resnet50", "vgg11_bn", "vgg16"]
TIMM = {
    "convnext_atto": [40, 80, 160, 320],
    "efficientnet_lite0": [24, 40, 112, 320],
    "mobilenetv3_small_050": [8, 16, 24, 288],
    "regnety_002": [24, 56, 152, 368],
}


def cut(key, name, network, image_size=None):
    return backbones.create(key).cut(network, image_size=image_size).eval()


def run(backbone, x):
    for stage in backbone.stages:
        x = stage(x)
    return backbone.head(x)


def size(module):
    return sum(p.numel() for p in module.parameters())


def stir(network):
    """Random batch statistics and layer scales, so that no part is near the identity."""
    for tensor in [*network.parameters(), *network.buffers()]:
        if tensor.ndim == 1:
            tensor.data.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_cut_is_the_network(name):
    torch.manual_seed(0)
    network = stir(torchvision.models.get_model(name, num_classes=3))
    x = torch.rand(1, 3, 32, 32)
    expected, parameters = network(x), size(network)
    backbone = cut(name.rstrip("0123456789_bn"), name, network)
    found = run(backbone, x)
    assert torch.equal(found.logits, expected)
    assert torch.equal(backbone.head.classifier(found.features), expected)
    assert size(backbone) == parameters


@pytest.mark.parametrize("name", TIMM)
def test_timm_cut_is_the_network(name):
    torch.manual_seed(0)
    network = stir(timm.create_model(name, num_classes=3))
    x = torch.rand(1, 3, 64, 64)
    expected, parameters = network(x), size(network)
    backbone = cut("timm", name, network)
    torch.testing.assert_close(run(backbone, x).logits, expected)
    assert size(backbone) == parameters
    assert backbone.widths == TIMM[name]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit3_small_patch16_224"])
def test_vit_cut_is_the_network(name):
    torch.manual_seed(0)
    network = stir(timm.create_model(name, num_classes=3, img_size=48))
    x = torch.rand(2, 3, 48, 48)
    expected, parameters = network(x), size(network)
    backbone = cut("timm", name, network, image_size=48)
    torch.testing.assert_close(run(backbone, x).logits, expected)
    assert size(backbone) == parameters
    assert [len(stage) for stage in backbone.stages[1:]] == [3, 3, 3]
    tokens = backbone.stages[0](x)
    grid = backbone.to_map(tokens)
    assert grid.shape == (2, tokens.shape[2], 3, 3)
    assert torch.equal(grid[1, :, 1, 2], tokens[1, 1 + 3 * 1 + 2])


def test_channels_last_stages_become_maps():
    network = stir(timm.create_model("swin_tiny_patch4_window7_224", img_size=32, num_classes=3))
    backbone = cut("timm", "swin", network, image_size=32)
    out = backbone.stages[0](torch.rand(1, 3, 32, 32))
    assert torch.equal(backbone.to_map(out)[0, :, 1, 2], out[0, 1, 2])
    assert backbone.to_map(out).shape[1] == backbone.widths[0] == 96


@pytest.mark.parametrize("name", ["vgg11", "vgg13_bn"])
def test_vgg_stages_end_at_the_last_four_poolings(name):
    with torch.device("meta"):
        backbone = create_model(name, 3).backbone
    assert all(isinstance(stage[-1], nn.MaxPool2d) for stage in backbone.stages)
    poolings = [sum(isinstance(m, nn.MaxPool2d) for m in stage) for stage in backbone.stages]
    assert poolings == [2, 1, 1, 1]
    assert backbone.widths == [128, 256, 512, 512]
    assert backbone.head.classifier.in_features == 4096


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_a_vgg_folds_its_pooling_in_training_and_changes_no_number(side):
    torch.manual_seed(0)
    head = create_model("vgg11", 3).backbone.head.train()
    maps = torch.randn(2, 512, side, side)
    found = []
    for layers in (head.features, head.reduce):
        x = maps.clone().requires_grad_()
        torch.manual_seed(1)
        z = layers(x)
        gradient, weight = torch.autograd.grad(z.square().sum(), [x, head.reduce[2].weight])
        found.append((z, gradient, weight))
    for folded, plain in zip(*found, strict=True):
        torch.testing.assert_close(folded, plain, rtol=1e-4, atol=1e-4)


def test_resnet_stages_end_at_the_residual_stages():
    backbone = create_model("resnet50", 3).backbone
    x = torch.rand(2, 3, 64, 64)
    for stage, width, side in zip(backbone.stages, backbone.widths, (16, 8, 4, 2), strict=True):
        x = stage(x)
        assert x.shape == (2, width, side, side)
    assert backbone.widths == [256, 512, 1024, 2048]


@pytest.mark.parametrize(
    ("name", "image_size", "message"),
    [
        ("vit_tiny_patch16_224", None, "built for a single image size; set image_size"),
        ("vit_tiny_patch16_224", 40, "image_size is 40; .* it must be a multiple of 16"),
        ("vit_tiny_patch16_224", 8, "image_size is 8; .* it must be a multiple of 16"),
        ("xcit_nano_12_p8_224", 32, "its stages do not run in plain sequence"),
        ("xcit_nano_12_p8_224", 36, "timm cannot build .*36.*patch_size"),
        ("eva02_tiny_patch14_224", 28, "its stages do not run in plain sequence"),
        ("deit_tiny_distilled_patch16_224", 32, "does not end in one linear layer"),
        ("convnext_atto", 8, "at least 32x32 px, but these have 8x8|cannot take 8 px images"),
    ],
)
def test_models_that_do_not_fit_say_so(name, image_size, message):
    with pytest.raises(UserError, match=message):
        create_model(f"timm/{name}", 3, image_size=image_size)


def test_vit_takes_its_own_size_only():
    net = create_model("timm/vit_tiny_patch16_224", 3, image_size=32)
    with pytest.raises(
        UserError, match="needs images of exactly 32x32 px, but these have 48x48 px"
    ):
        net(torch.rand(1, 3, 48, 48))


class Crooked(timm.models.ResNet):
    """Runs its stages in another way than one after the other."""

    def forward_features(self, x):
        x = self.maxpool(self.act1(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(2 * self.layer2(self.layer1(x))))


def test_a_cut_that_changes_the_output_is_refused():
    network = Crooked(timm.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)
    network.pretrained_cfg = {}
    with pytest.raises(UserError, match=r"Crooked cannot be cut.* not run in plain sequence"):
        cut("timm", "crooked", network)


def test_too_few_stages_are_refused():
    network = timm.create_model("resnet18", num_classes=3)
    network.feature_info = network.feature_info[:3]
    with pytest.raises(UserError, match="it has 3 feature stages, four are needed"):
        cut("timm", "resnet18", network)
