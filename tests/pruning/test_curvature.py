"""Curvature against Hessians, slow twins and BackPACK."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.models import create_model
from fairexit.pruning import layers as layers_module
from fairexit.pruning.curvature import CurvatureEstimate, curvature_sums, softmax_factor
from fairexit.pruning.layers import (
    choose_layers,
    is_piecewise_linear,
    left_out,
    prunable_layers,
    prunable_parameters,
)
from fairexit.types import Exit

EXACT = CurvatureEstimate()


class Tiny(nn.Module):
    """A shared trunk with three exits; the last two read the same map, as CLF_4 and CLF_f do."""

    def __init__(self, act=nn.ReLU):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), act())
        self.two = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2, padding=1, dilation=1), act())
        self.heads = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))

    def forward(self, x):
        first = self.one(x)
        second = self.two(first)
        maps = [first, second, second]
        z = [m.flatten(2).amax(-1) for m in maps]
        return [Exit(head(v), v) for head, v in zip(self.heads, z, strict=True)]


ALPHA = [0.5, 1.0, 2.0]


@pytest.fixture
def tiny_net():
    torch.manual_seed(0)
    net = Tiny().double()
    net.one[1].running_mean.normal_(std=0.3)
    net.one[1].running_var.uniform_(0.5, 2)
    return net.eval()


def hessian_diagonal(net, images, labels, alpha):
    """Of the sum over images of the multi-exit cross-entropy, one second derivative at a time."""
    parameters = list(net.parameters())
    loss = sum(
        a * F.cross_entropy(exit.logits, labels, reduction="sum")
        for a, exit in zip(alpha, net(images), strict=True)
    )
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    found = {}
    for (name, parameter), gradient in zip(net.named_parameters(), gradients, strict=True):
        second = [
            torch.autograd.grad(g, parameter, retain_graph=True)[0].flatten()[i]
            for i, g in enumerate(gradient.flatten())
        ]
        found[name] = torch.stack(second).view_as(parameter)
    return found


def test_exact_is_the_hessian_diagonal_with_shared_trunk_and_exits(tiny_net):
    images, labels = torch.rand(5, 3, 9, 9).double(), torch.tensor([0, 1, 2, 1, 0])
    layers = prunable_layers(tiny_net, "all")
    assert list(layers) == ["one.0", "one.1", "two.0", "heads.0", "heads.1", "heads.2"]
    found = curvature_sums(tiny_net, [images[:3], images[3:]], ALPHA, layers, estimate=EXACT)
    wanted = hessian_diagonal(tiny_net, images, labels, ALPHA)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-12)
        assert value.abs().max() > 0


def test_an_exit_without_weight_counts_nothing(tiny_net):
    images = torch.rand(3, 3, 9, 9).double()
    layers = prunable_layers(tiny_net)
    found = curvature_sums(tiny_net, [images], [0.0, 1.0, 0.0], layers, estimate=EXACT)
    assert found["heads.0.weight"].abs().max() == found["heads.2.weight"].abs().max() == 0
    assert found["heads.1.weight"].abs().max() > 0


def test_monte_carlo_is_unbiased_and_its_error_falls_as_the_root(tiny_net):
    images = torch.rand(2, 3, 9, 9).double()
    layers = prunable_layers(tiny_net, "all")
    exact = curvature_sums(tiny_net, [images], ALPHA, layers, estimate=EXACT)
    wanted = torch.cat([v.flatten() for v in exact.values()])

    def error(draws, seed):
        found = curvature_sums(
            tiny_net, [images], ALPHA, layers, estimate=CurvatureEstimate(draws, seed)
        )
        return (torch.cat([v.flatten() for v in found.values()]) - wanted).norm() / wanted.norm()

    few, many = (
        torch.stack([error(draws, seed) for seed in range(12)]).mean() for draws in (4, 64)
    )
    assert 2.8 < few / many < 5.7  # sqrt(64 / 4) = 4
    assert error(4000, 99) < 0.05


def test_draws_belong_to_images_not_to_batches(tiny_net):
    images = torch.rand(6, 3, 9, 9).double()
    layers = prunable_layers(tiny_net)
    estimate = CurvatureEstimate(2, seed=3)
    whole = curvature_sums(tiny_net, [images], ALPHA, layers, estimate=estimate)
    parts = curvature_sums(tiny_net, images.split(1), ALPHA, layers, estimate=estimate)
    shares = [
        curvature_sums(
            tiny_net, [images[rank::2]], ALPHA, layers, estimate=estimate, first=rank, stride=2
        )
        for rank in range(2)
    ]
    other = curvature_sums(
        tiny_net, [images], ALPHA, layers, estimate=CurvatureEstimate(2, seed=3, step=1)
    )
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value)
        torch.testing.assert_close(shares[0][name] + shares[1][name], value)
    assert not torch.allclose(other["one.0.weight"], whole["one.0.weight"])


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("block", [1, 2**20])
def test_both_ways_of_summing_squares_agree(tiny_net, monkeypatch, few, block):
    images = torch.rand(4, 3, 9, 9).double()
    layers = prunable_layers(tiny_net, "all")
    usual = curvature_sums(tiny_net, [images], ALPHA, layers, estimate=EXACT)
    original = layers_module.Squares.__init__

    def forced(self, *args):
        original(self, *args)
        self.few = few

    monkeypatch.setattr(layers_module.Squares, "__init__", forced)
    monkeypatch.setattr(layers_module, "BLOCK", block)
    again = curvature_sums(tiny_net, [images], ALPHA, layers, estimate=EXACT)
    for name, value in usual.items():
        torch.testing.assert_close(again[name], value, rtol=1e-9, atol=1e-13)


@given(
    st.lists(st.floats(-30, 30), min_size=2, max_size=7),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_softmax_factor(values, dtype):
    logits = torch.tensor([values], dtype=dtype)
    factor = softmax_factor(logits)[0]
    assert factor.shape == (len(values), len(values) - 1)
    p = logits.double().softmax(-1)[0]
    wanted = torch.diag(p) - torch.outer(p, p)
    atol = 1e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(factor.double() @ factor.double().mT, wanted, rtol=0, atol=atol)


def test_softmax_factor_where_one_class_is_sure():
    factor = softmax_factor(torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, 0.0, 1000.0]]))
    assert factor.isfinite().all()


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_real_networks_against_one_gradient_at_a_time(name):
    torch.manual_seed(1)
    net = create_model(name, 3, exits=[2, 4]).double().eval()
    images, alpha = torch.rand(2, 3, 32, 32).double(), [0.3, 0.6, 0.9]
    layers = prunable_layers(net)
    layers = {k: layers[k] for k in list(layers)[:3] + list(layers)[-4:]}
    parameters = prunable_parameters(layers)
    found = curvature_sums(net, [images], alpha, layers, estimate=EXACT)
    wanted = {k: torch.zeros_like(p) for k, p in parameters.items()}
    for image in images:
        for a, exit in zip(alpha, net(image[None]), strict=True):
            p = exit.logits[0].softmax(-1)
            root = p.sqrt()[:, None] * (torch.eye(3) - p[None, :])  # rows: sqrt(p_c) (e_c - p)
            for column in root.detach():
                gradients = torch.autograd.grad(
                    exit.logits[0],
                    parameters.values(),
                    column,
                    retain_graph=True,
                    allow_unused=True,
                )
                for key, gradient in zip(wanted, gradients, strict=True):
                    if gradient is not None:
                        wanted[key] += a * gradient.square()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-14)


def test_against_backpack():
    """BackPACK's recipe: each exit's path as a sequential network of its own, summed with alpha."""
    import backpack
    from backpack.extensions import DiagGGNExact

    torch.manual_seed(0)
    trunk = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Sequential(nn.Conv2d(4, 5, 3))]
    heads = [
        nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4)),
        nn.Sequential(nn.Flatten(), nn.Linear(80, 4)),
    ]

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.heads = nn.ModuleList(trunk), nn.ModuleList(heads)

        def forward(self, x):
            first = self.trunk[0](x)
            maps = [first, self.trunk[1](first)]
            return [Exit(h(m), m) for h, m in zip(self.heads, maps, strict=True)]

    net = Both().eval()
    images, alpha = torch.rand(5, 3, 8, 8), [0.3, 0.9]
    found = curvature_sums(net, [images], alpha, prunable_layers(net, "all"), estimate=EXACT)
    wanted = {}
    for k, a in enumerate(alpha):
        names = [*(f"trunk.{i}" for i in range(k + 1)), f"heads.{k}"]
        path = nn.Sequential(*(copy.deepcopy(net.get_submodule(n)) for n in names))
        backpack.extend(path)
        loss = backpack.extend(nn.CrossEntropyLoss(reduction="sum"))(
            path(images), torch.zeros(5, dtype=torch.long)
        )
        with backpack.backpack(DiagGGNExact()):
            loss.backward()
        for key, parameter in path.named_parameters():
            part, _, rest = key.partition(".")
            full = f"{names[int(part)]}.{rest}"
            wanted[full] = wanted.get(full, 0) + a * parameter.diag_ggn_exact
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)


def test_layer_norm_and_tokens_against_one_gradient_at_a_time():
    torch.manual_seed(0)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.norm, self.out = nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 3)

        def forward(self, x):
            z = self.norm(self.lift(x.flatten(2).mT)).mean(1)
            return [Exit(self.out(z), z)]

    net = Tokens().double().eval()
    images = torch.rand(3, 3, 2, 3).double()
    found = curvature_sums(net, [images], [1.0], prunable_layers(net, "all"), estimate=EXACT)
    parameters = dict(net.named_parameters())
    wanted = {k: torch.zeros_like(p) for k, p in parameters.items()}
    for image in images:
        logits = net(image[None])[0].logits[0]
        for column in softmax_factor(logits.detach()[None])[0].T:
            gradients = torch.autograd.grad(logits, parameters.values(), column, retain_graph=True)
            for key, gradient in zip(wanted, gradients, strict=True):
                wanted[key] += gradient.square()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value)


def test_which_parameters_can_be_pruned():
    net = create_model("resnet18", 4, exits=[1])
    layers = prunable_layers(net)
    weights = prunable_parameters(layers)
    kept = set(dict(net.named_parameters())) - set(weights)
    assert all(name.endswith("bias") or parameter_ndim(net, name) == 1 for name in kept)
    assert {p.ndim for p in weights.values()} == {2, 4}
    everything = prunable_parameters(prunable_layers(net, "all"), "all")
    assert set(everything) == set(dict(net.named_parameters()))
    assert left_out(net) == []
    net.backbone.stages[0][0].padding_mode = "reflect"
    assert left_out(net) == ["backbone.stages.0.0.weight"]


def parameter_ndim(net, name):
    return dict(net.named_parameters())[name].ndim


def test_layers_by_name():
    net = create_model("resnet18", 4, exits=[1])
    chosen = choose_layers(net, PruneConfig(layers=["heads", "backbone.head.classifier"]))
    assert list(chosen) == ["backbone.head.classifier", "heads.1.reduce.0", "heads.1.classifier"]
    with pytest.raises(UserError, match=r"there is no layer 'heads\.2'"):
        choose_layers(net, PruneConfig(layers=["heads.2"]))
    assert choose_layers(net, PruneConfig()) == prunable_layers(net)


def test_smooth_networks_are_known():
    assert is_piecewise_linear(create_model("resnet18", 3, exits="all", head="pool"))
    assert is_piecewise_linear(create_model("vgg11_bn", 3))
    assert is_piecewise_linear(create_model("resnet18", 3, exits="none"))
    assert not is_piecewise_linear(Tiny(act=nn.GELU))
    net = create_model("resnet18", 3)
    net.mix(2)
    assert not is_piecewise_linear(net)


def test_layers_that_run_twice_or_never(tiny_net):
    images = torch.rand(1, 3, 9, 9).double()
    layers = prunable_layers(tiny_net)
    with pytest.raises(UserError, match="layer 'idle' takes no part"):
        curvature_sums(
            tiny_net, [images], ALPHA, {**layers, "idle": nn.Linear(2, 2)}, estimate=EXACT
        )

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            z = x.mean((2, 3))
            return [Exit(self.layer(self.layer(z)), z)]

    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            windows = x.flatten(2).mT.reshape(-1, 2, 3)  # two pixels each, as Swin's
            z = self.layer(windows).reshape(len(x), -1, 3).mean(1)
            return [Exit(z, z)]

    net = Windows().eval()
    with pytest.raises(UserError, match="layer 'layer' does not process one image at a time"):
        curvature_sums(net, [torch.rand(1, 3, 2, 2)], [1.0], prunable_layers(net), estimate=EXACT)
    net = Twice().eval()
    with pytest.raises(UserError, match="layer 'layer' runs twice for each image"):
        curvature_sums(net, [torch.rand(1, 3, 2, 2)], [1.0], prunable_layers(net), estimate=EXACT)
