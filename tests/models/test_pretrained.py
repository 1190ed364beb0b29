"""Weights from a local file or from the library, and every way in which they may not fit."""

from urllib.error import URLError

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from fairexit.errors import UserError
from fairexit.models import create_model


def library_network(name, classes):
    torch.manual_seed(1)
    if name.startswith("timm/"):
        return timm.create_model(name.removeprefix("timm/"), num_classes=classes)
    return torchvision.models.get_model(name, num_classes=classes)


@pytest.fixture
def saved(tmp_path):
    def save(state, name="weights.safetensors"):
        path = tmp_path / name
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
        return path

    return save


def answer(net, x):
    return net.eval()(x)[-1]


def normalised(net, x):
    """What the library's own preparation of images does to them before its network."""
    mean, std = (torch.tensor(net.config["normalisation"][k]) for k in ("mean", "std"))
    return (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)


@pytest.mark.parametrize("name", ["resnet18", "timm/mobilenetv3_small_050"])
def test_local_file_gives_the_librarys_answers(name, saved):
    network = library_network(name, 5).eval()
    x = torch.rand(1, 3, 32, 32)
    path = saved(network.state_dict())
    net = create_model(name, 5, pretrained=path)
    torch.testing.assert_close(answer(net, x).logits, network(normalised(net, x)))
    assert net.config["pretrained"] is False
    assert torch.equal(
        answer(create_model(name, 5, pretrained=str(path)), x).logits, answer(net, x).logits
    )


def test_classifier_of_another_size_stays_random(saved):
    network = library_network("resnet18", 7).eval()
    path = saved(network.state_dict())
    x = torch.rand(1, 3, 32, 32)
    network.fc = torch.nn.Identity()
    torch.manual_seed(2)
    one = answer(create_model("resnet18", 3, pretrained=path), x)
    torch.manual_seed(3)
    other = answer(create_model("resnet18", 3, pretrained=path), x)
    net = create_model("resnet18", 3, pretrained=path)
    torch.testing.assert_close(one.features, network(normalised(net, x)))
    assert torch.equal(one.features, other.features)
    assert one.logits.shape == (1, 3)
    assert not torch.equal(one.logits, other.logits)


def test_position_embedding_is_resized(saved):
    state = library_network("timm/vit_tiny_patch16_224", 3).state_dict()
    assert state["pos_embed"].shape == (1, 197, 192)
    path = saved(state)
    net = create_model("timm/vit_tiny_patch16_224", 3, image_size=32, pretrained=path)
    assert torch.equal(net.backbone.head.classifier.weight, state["head.weight"])
    embedding = dict(net.named_parameters())["backbone.stages.0.model.pos_embed"]
    assert embedding.shape == (1, 5, 192)
    assert torch.equal(embedding[:, 0], state["pos_embed"][:, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("bn1.weight"), "it lacks 1 entries, of which the first is 'bn1.weight'"),
        (lambda s: s.pop("fc.bias"), "it lacks 1 entries, of which the first is 'fc.bias'"),
        (
            lambda s: s.update(extra=torch.ones(1)),
            "it has 1 entries that the network lacks, of which the first is 'extra'",
        ),
        (
            lambda s: s.update({"conv1.weight": torch.ones(64, 3, 3, 3)}),
            r"'conv1.weight' has the shape \(64, 3, 3, 3\), not \(64, 3, 7, 7\)",
        ),
    ],
)
def test_weights_of_another_network_are_an_error(change, message, saved):
    state = library_network("resnet18", 3).state_dict()
    change(state)
    path = saved(state)
    with pytest.raises(UserError, match=f"{path} does not fit resnet18: {message}"):
        create_model("resnet18", 3, pretrained=path)


def test_small_stem_does_not_take_standard_weights(saved):
    path = saved(library_network("resnet18", 3).state_dict())
    with pytest.raises(UserError, match=r"'conv1\.weight' has the shape"):
        create_model("resnet18", 3, stem="small", pretrained=path)


def test_file_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*absent.safetensors"):
        create_model("resnet18", 3, pretrained=tmp_path / "absent.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"junk\.safetensors is not a safetensors file"):
        create_model("resnet18", 3, pretrained=tmp_path / "junk.safetensors")
    with pytest.raises(UserError, match="is not a safetensors file"):
        create_model("resnet18", 3, pretrained=tmp_path)


PREFIXES = ["module.", "model.", "_orig_mod.", "model._orig_mod.module.", "net.backbone."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["resnet18", "vgg11", "timm/mobilenetv3_small_050"])
def test_what_stands_before_every_name_is_taken_off(name, prefix, saved):
    state = library_network(name, 3).state_dict()
    path = saved({prefix + key: tensor for key, tensor in state.items()})
    net, same = (create_model(name, 3, pretrained=file) for file in (path, saved(state, "s")))
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(answer(net, x).logits, answer(same, x).logits)


def test_a_prefix_of_some_names_is_the_reason(saved):
    state = library_network("resnet18", 3).state_dict()
    renamed = {f"model.{key}": tensor for key, tensor in state.items()}
    path = saved(renamed | {"loss.weight": torch.ones(3)})
    with pytest.raises(UserError, match=r"calls it 'model\.[\w.]+', and only some names begin so"):
        create_model("resnet18", 3, pretrained=path)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_pytorch(wrapper, zipped, tmp_path):
    state = library_network("resnet18", 3).state_dict()
    content = state if wrapper is None else {wrapper: state, "epoch": 3, "lr": [0.1]}
    torch.save(content, tmp_path / "c.pth.tar", _use_new_zipfile_serialization=zipped)
    net = create_model("resnet18", 3, pretrained=tmp_path / "c.pth.tar")
    assert torch.equal(net.state_dict()["backbone.head.classifier.bias"], state["fc.bias"])


class Harmful:
    """What a pickle of bad intent does when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"state_dict": Harmful(str(tmp_path / "ran"))}, tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"c\.pth holds more than weights .* save the state dict"):
        create_model("resnet18", 3, pretrained=tmp_path / "c.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{}, [1], {"state_dict": {}}, {"a": 1}, {1: torch.ones(1)}])
def test_a_checkpoint_without_a_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"c\.pth holds no state dict"):
        create_model("resnet18", 3, pretrained=tmp_path / "c.pth")


@pytest.mark.parametrize("size", [3, 100, 5000])
def test_half_a_checkpoint_is_one_line(size, tmp_path):
    torch.save(library_network("resnet18", 3).state_dict(), tmp_path / "c.pth")
    content = (tmp_path / "c.pth").read_bytes()
    (tmp_path / "c.pth").write_bytes(content[:size])
    with pytest.raises(UserError, match=r"c\.pth") as caught:
        create_model("resnet18", 3, pretrained=tmp_path / "c.pth")
    assert len(str(caught.value)) < 500


def test_library_weights_are_used(monkeypatch):
    network = library_network("resnet18", 1000).eval()
    enum = torchvision.models.ResNet18_Weights
    monkeypatch.setattr(enum, "get_state_dict", lambda *_, **__: network.state_dict())
    x = torch.rand(1, 3, 32, 32)
    net = create_model("resnet18", 3, pretrained=True)
    network.fc = torch.nn.Identity()
    torch.testing.assert_close(answer(net, x).features, network(normalised(net, x)))


@pytest.mark.parametrize("name", ["resnet18", "timm/convnext_atto"])
def test_offline_one_line_names_the_way_out(name, monkeypatch):
    def refuse(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", refuse)
    build = timm.create_model
    monkeypatch.setattr(
        timm,
        "create_model",
        lambda *a, pretrained=False, **k: refuse() if pretrained else build(*a, **k),
    )
    with pytest.raises(UserError, match=r"cannot be fetched .*local safetensors file") as caught:
        create_model(name, 3, pretrained=True)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
