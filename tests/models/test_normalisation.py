"""Pretrained weights are fed as their library feeds them, at every exit and every image size."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config
from torch import nn
from torch.nn import functional as F

from fairexit.errors import UserError
from fairexit.inference.early_exit import early_exit
from fairexit.inference.entanglement import _pooled
from fairexit.models import backbones, create_model
from fairexit.models.normalisation import Normalise, parse_normalisation

LITE0 = Path(__file__).parents[3] / "shared" / "weights" / "tf_efficientnet_lite0.safetensors"
LITE0_NAME = "tf_efficientnet_lite0"


def write(network, path):
    save_file({k: t.contiguous() for k, t in network.state_dict().items()}, path)
    return path


def image(side):
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(255)[None]


def timm_logits(network, picture):
    """The answer of timm's network to an image that timm has prepared."""
    config = resolve_data_config({"crop_pct": 1.0}, model=network)
    size = (3, picture.height, picture.width)
    transform = create_transform(**config | {"input_size": size}, is_training=False)
    with torch.no_grad():
        return network.eval()(transform(picture)[None])


def relative_error(actual, expected):
    return float((actual - expected).abs().max() / expected.abs().max())


# Means and deviations of 0.5, of ImageNet, and a transformer without a convolution's padding.
@pytest.mark.parametrize(
    "name", ["tf_mobilenetv3_small_minimal_100", "mobilenetv3_small_050", "vit_tiny_patch16_224"]
)
@pytest.mark.parametrize("side", [32, 80])
def test_answers_are_those_of_timms_preparation_and_network(name, side, tmp_path):
    torch.manual_seed(0)
    size = {"img_size": side} if name.startswith("vit") else {}
    network = timm.create_model(name, num_classes=5, **size)
    path = write(network, tmp_path / "w.safetensors")
    net = create_model(f"timm/{name}", 5, pretrained=path, image_size=side).eval()
    picture = image(side)
    expected = timm_logits(network, picture)
    with torch.no_grad():
        final = net(pixels(picture))[-1].logits
        unnormalised = network(pixels(picture))
    assert relative_error(final, expected) < 1e-6
    assert relative_error(unnormalised, expected) > 1e-3, "this test could not fail"


@pytest.mark.parametrize("side", [84, 127, 224])
def test_real_weights_answer_as_in_timm(side):
    if not LITE0.exists():
        pytest.skip("the weights of ../shared/weights are not here")
    network = timm.create_model(LITE0_NAME)
    network.load_state_dict(load_file(LITE0))
    net = create_model(f"timm/{LITE0_NAME}", 1000, pretrained=LITE0, image_size=side).eval()
    picture = image(side)
    with torch.no_grad():
        final = net(pixels(picture))[-1].logits
    assert relative_error(final, timm_logits(network, picture)) < 1e-6
    assert net.config["normalisation"] == {"mean": [0.5] * 3, "std": [0.5] * 3}


def test_the_padding_is_that_of_the_normalised_image():
    x, conv = torch.rand(2, 3, 8, 8), nn.Conv2d(3, 4, 3, padding=1)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    layer = Normalise(parse_normalisation({"mean": mean, "std": std}))
    prepared = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    padded = F.pad(prepared, (1, 1, 1, 1))
    expected = F.conv2d(padded, conv.weight, conv.bias)
    torch.testing.assert_close(conv(layer(x)), expected)


@torch.no_grad()
def test_every_way_through_the_network_normalises_once():
    torch.manual_seed(0)
    net = create_model("resnet18", 3, normalisation="imagenet").eval()
    plain = create_model("resnet18", 3).eval()
    plain.load_state_dict(
        {k: t for k, t in net.state_dict().items() if "normalise" not in k}, strict=True
    )
    x = torch.rand(4, 3, 32, 32)
    prepared = net.backbone.normalise(x)
    for exit, expected in zip(net(x), plain(prepared), strict=True):
        assert torch.equal(exit.logits, expected.logits)
    for threshold in (None, 0.4):
        leaving, expected = early_exit(net, x, threshold), early_exit(plain, prepared, threshold)
        assert torch.equal(leaving.probabilities, expected.probabilities)
    assert all(
        torch.equal(a, b)
        for a, b in zip(_pooled(net, x).values(), _pooled(plain, prepared).values(), strict=True)
    )


@pytest.mark.parametrize(
    ("setting", "mean"),
    [
        ("imagenet", [0.485, 0.456, 0.406]),
        ("half", [0.5, 0.5, 0.5]),
        ({"mean": [0, 0.1, 0.2], "std": [1, 1, 0.5]}, [0.0, 0.1, 0.2]),
    ],
)
def test_a_network_is_rebuilt_with_its_normalisation(setting, mean):
    net = create_model("resnet18", 3, normalisation=setting)
    assert net.config["normalisation"]["mean"] == mean
    again = create_model(**net.config)
    again.load_state_dict(net.state_dict())
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(again.eval()(x)[-1].logits, net.eval()(x)[-1].logits)


def test_random_weights_are_not_normalised():
    net = create_model("resnet18", 3)
    assert net.config["normalisation"] == "none"
    assert not [key for key in net.state_dict() if "normalise" in key]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("imagnet", r"normalisation is 'imagnet'; did you mean 'imagenet'\?"),
        ({"mean": [0.5] * 3}, "it must be auto, imagenet, half, none, or"),
        ({"mean": [0.5] * 3, "std": [0.5, 0.5, 0]}, "with every std above 0"),
        ({"mean": [0.5] * 2, "std": [0.5] * 3}, "it must be"),
        ({"mean": [float("nan")] * 3, "std": [0.5] * 3}, "it must be"),
    ],
)
def test_what_is_no_normalisation_is_an_error(setting, message):
    with pytest.raises(UserError, match=message):
        create_model("resnet18", 3, normalisation=setting)


def test_where_published_weights_differ_the_setting_is_named(tmp_path):
    name = "timm/efficientnet_b0"
    assert len(set(backbones.create("timm").normalisations(name))) == 2
    path = write(timm.create_model("efficientnet_b0", num_classes=3), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"differ among .* set model\.normalisation to one of: ima"):
        create_model(name, 3, pretrained=path)
    net = create_model(name, 3, pretrained=path, normalisation="half")
    assert net.config["normalisation"]["mean"] == [0.5] * 3


def test_where_none_is_known_the_setting_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(type(backbones.create("resnet")), "normalisations", lambda *_: [])
    with pytest.raises(UserError, match=r"weights of resnet18 expect are not known; set model\."):
        create_model("resnet18", 3, pretrained=tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "vgg11_bn"])
def test_torchvisions_weights_of_a_network_agree(name):
    family = backbones.create("resnet" if name.startswith("resnet") else "vgg")
    assert set(family.normalisations(name)) == {parse_normalisation("imagenet")}
