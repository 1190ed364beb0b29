"""Every backbone with every head: shapes, gradients, weights on disk, sizes, costs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from fairexit.errors import UserError
from fairexit.models import create_model, heads, list_models

SMALL = [
    "resnet18",
    "timm/convnext_atto",
    "timm/mobilenetv3_small_050",
    "timm/vit_tiny_patch16_224",
]
C = 3


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def images(count=2, size=32):
    return torch.rand(count, 3, size, size)


@pytest.mark.parametrize(
    ("name", "head"),
    [*((name, head) for name in SMALL for head in heads.names()), ("vgg11_bn", "conv")],
)
def test_every_head_on_every_kind_of_backbone(name, head):
    # on maps of 3x3 and more every head fits: the first stages of 64 px images
    exits, size = ([1], 64) if head == "released" else ("all", 32)
    net = create_model(name, C, exits=exits, head=head, image_size=size)
    found = net(images(4, size))
    assert len(found) == net.num_exits == len(net.exit_names) == len(net.positions)
    for one in found:
        assert one.logits.shape == (4, C)
        assert one.features.ndim == 2
        assert len(one.features) == 4
    torch.stack([one.logits.square().sum() for one in found]).sum().backward()
    idle = [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []


@pytest.mark.parametrize("name", SMALL)
def test_weights_on_disk_keep_the_answers(name, tmp_path):
    net = create_model(name, C, exits=[2], image_size=32).eval()
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    again = create_model(**net.config).eval()
    x = images()
    assert not torch.equal(net(x)[0].logits, again(x)[0].logits)
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    for one, other in zip(net(x), again(x), strict=True):
        assert torch.equal(one.logits, other.logits)
        assert torch.equal(one.features, other.features)


@pytest.mark.parametrize(
    ("exits", "names", "positions"),
    [
        ("all", ["1", "2", "3", "4", "f"], [0, 1, 2, 3, 3]),
        ("none", ["f"], [3]),
        ([1, 3], ["1", "3", "f"], [0, 2, 3]),
        ([], ["f"], [3]),
    ],
)
def test_exits_sit_where_asked(exits, names, positions):
    net = create_model("resnet18", C, exits=exits)
    assert net.exit_names == names
    assert net.positions == positions
    assert len(net(images())) == len(names)


@pytest.mark.parametrize("exits", ["some", [0], [5], [1, 1], [True], ["1"], 2, None])
def test_other_exits_are_an_error(exits):
    with pytest.raises(
        UserError, match="it must be 'all', 'none' or a list of different stages from 1 to 4"
    ):
        create_model("resnet18", C, exits=exits)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet81"}, "no backbone 'resnet81'; did you mean 'resnet18'?"),
        ({"name": "convnext_ato"}, "did you mean 'timm/convnext_atto'?"),
        ({"name": "#"}, r"there is no backbone '#'; fairexit\.list_models\(\) returns all of them"),
        ({"head": "cnov", "exits": "none"}, "no head 'cnov'; did you mean 'conv'?"),
        ({"stem": "smal"}, "resnet18 has no stem 'smal'; did you mean 'small'?"),
        ({"name": "vgg11", "stem": "small"}, "vgg11 has no stem 'small'; available: standard"),
        ({"num_classes": 1}, "num_classes is 1; a classifier needs at least 2 classes"),
        ({"image_size": 0}, "image_size is 0; it must be a number of pixels of at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        create_model(**({"name": "resnet18", "num_classes": C} | arguments))


@pytest.mark.parametrize(
    ("name", "stem", "smallest"),
    [("resnet18", "standard", 28), ("resnet18", "small", 28), ("vgg11", "standard", 32)],
)
def test_smallest_image(name, stem, smallest):
    net = create_model(name, C, stem=stem, image_size=smallest).eval()
    assert net(images(1, smallest))[-1].logits.shape == (1, C)
    message = f"{name} needs images of at least {smallest}x{smallest} px, but these have "
    with pytest.raises(UserError, match=message + f"{smallest}x{smallest - 1}"):
        net(torch.rand(1, 3, smallest, smallest - 1))
    with pytest.raises(UserError, match=message + f"{smallest - 1}x{smallest - 1}"):
        create_model(name, C, stem=stem, image_size=smallest - 1)


def test_small_stem_halves_the_image_once():
    net = create_model("resnet18", C, stem="small")
    assert net.backbone.stages[0](images(1, 32)).shape == (1, 64, 16, 16)


def test_released_head_names_the_map_it_needs():
    message = (
        "ReleasedHead needs a feature map of at least 3x3, but gets 2x2; "
        "use images of 65 px, earlier"
    )
    with pytest.raises(UserError, match=message):
        create_model("resnet18", C, head="released", image_size=64)
    net = create_model("resnet18", C, head="released")
    with pytest.raises(UserError, match=message):
        net(images(2, 64))
    assert len(create_model("resnet18", C, head="released", image_size=65)(images(2, 65))) == 5


def test_mixed_pooling_starts_half_and_half():
    pool = heads["pool"](2, C).reduce[0]
    x = torch.rand(1, 2, 8, 8)
    blocks = x.unflatten(3, (4, 2)).unflatten(2, (4, 2))  # (1, 2, 4, 2, 4, 2)
    expected = (blocks.mean((3, 5)) + blocks.amax((3, 5))) / 2
    torch.testing.assert_close(pool(x), expected)


def test_config_rebuilds_the_network():
    net = create_model("resnet18", C, exits=(1, 4), head="pool", stem="small", image_size=32)
    again = create_model(**net.config)
    assert again.config == net.config
    assert net.config["exits"] == [1, 4]
    shapes = {key: tensor.shape for key, tensor in net.state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in again.state_dict().items()}


def test_trunk_is_run_once():
    net = create_model("resnet18", C)
    runs = []
    for number, stage in enumerate(net.backbone.stages):
        stage.register_forward_hook(lambda *_, number=number: runs.append(number))
    net(images())
    assert runs == [0, 1, 2, 3]


def test_channels_last_gives_the_same():
    for name in ("resnet18", "timm/convnext_atto", "timm/vit_tiny_patch16_224"):
        net = create_model(name, C, image_size=32).eval()
        x = images()
        expected = net(x)
        net.to(memory_format=torch.channels_last)
        found = net(x.to(memory_format=torch.channels_last))
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(one.logits, other.logits, rtol=1e-3, atol=1e-4)


def conv_multiply_adds(module, x):
    """Multiply-adds of the convolutions and linear layers of one image, counted by hooks."""
    counts = []

    def count(layer, _, out):
        per_number = layer.weight[0].numel()
        counts.append(per_number * out.numel())

    hooks = [
        layer.register_forward_hook(count)
        for layer in module.modules()
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
    ]
    module(x)
    for hook in hooks:
        hook.remove()
    return sum(counts)


@settings(max_examples=5, deadline=None)
@given(size=st.integers(28, 70))
def test_exit_costs_are_the_sum_of_the_parts(size):
    net = create_model("resnet18", C).eval()
    before = torch.get_rng_state()
    costs = net.exit_costs(size)
    assert torch.equal(before, torch.get_rng_state())
    x, expected, total = torch.rand(1, 3, size, size), [], 0
    for position, stage in enumerate(net.backbone.stages):
        total += conv_multiply_adds(stage, x)
        x = stage(x)
        total += conv_multiply_adds(net.heads[str(position + 1)], x)
        expected.append(total)
    expected.append(total + conv_multiply_adds(net.backbone.head, x))
    assert costs == expected


@pytest.mark.parametrize("name", SMALL)
def test_costs_rise_with_depth_and_leave_the_network_alone(name):
    net = create_model(name, C, image_size=32)
    costs = net.exit_costs(32)
    assert costs == sorted(costs)
    assert len(costs) == net.num_exits
    assert net.training
    assert all(p.device.type == "cpu" for p in net.parameters())


def test_four_default_heads_are_cheap():
    plain = create_model("resnet18", 8, exits="none").exit_costs(64)[-1]
    assert create_model("resnet18", 8).exit_costs(64)[-1] < 1.04 * plain


def test_list_models():
    own = [name for name in list_models() if not name.startswith("timm/")]
    assert own == [
        "resnet18",
        "resnet34",
        "resnet50",
        *(f"vgg{depth}{norm}" for depth in (11, 13, 16) for norm in ("", "_bn")),
    ]
    assert "timm/convnext_atto" in list_models("timm/convnext*")
    assert list_models("nothing*") == []
