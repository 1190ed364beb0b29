"""The layers that can be pruned, and the squared per-sample gradients of their parameters."""

from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError, nearest, short

BLOCK = 2**20
"""Number of entries of per-sample gradients held at a time; small enough for a CPU's cache."""

LINEAR = ("Conv2d", "Linear")
NORMS = ("BatchNorm2d", "LayerNorm")
PIECEWISE_LINEAR = {
    *("Conv2d", "Linear", "BatchNorm2d", "ReLU", "LeakyReLU", "Identity", "Flatten", "Dropout"),
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "MixedPool"),
    *("Normalise", "ModuleDict"),  # the latter holds the heads of a network without any
}


def prunable_layers(net: nn.Module, parameters: str = "weights") -> dict[str, nn.Module]:
    """Name -> layer, for all layers whose parameters can be pruned.

    Args:
        net: the network.
        parameters: `weights` for convolutions and linear layers; `all` for normalisation too.
    """
    kinds = LINEAR if parameters == "weights" else LINEAR + NORMS
    return {
        name: module
        for name, module in net.named_modules()
        if type(module).__name__ in kinds
        and type(module).__module__.startswith("torch.nn.")
        # The gradients are computed with `unfold`, which only pads with a number of zeros.
        and not (isinstance(module, nn.Conv2d) and not _plain(module))
    }


def choose_layers(net: nn.Module, config: PruneConfig) -> dict[str, nn.Module]:
    """Name -> layer, for the layers that are pruned by the settings.

    These are all prunable layers, or those that `config.layers` names or that lie inside a module
    that it names.

    Raises:
        UserError: a name is neither a prunable layer nor a module with one.
    """
    layers = prunable_layers(net, config.parameters)
    if config.layers is None:
        return layers
    chosen: dict[str, nn.Module] = {}
    for name in config.layers:
        inside = {k: v for k, v in layers.items() if k == name or k.startswith(f"{name}.")}
        if not inside:
            raise UserError(
                f"prune.layers: there is no layer '{short(name)}' to prune; {nearest(name, layers)}"
            )
        chosen |= inside
    return {name: layer for name, layer in layers.items() if name in chosen}


def prunable_parameters(
    layers: dict[str, nn.Module], parameters: str = "weights"
) -> dict[str, nn.Parameter]:
    """Name in the network -> parameter, for the prunable parameters of layers.

    Args:
        layers: name -> layer.
        parameters: `weights` or `all`.
    """
    return {
        f"{name}.{key}": parameter
        for name, layer in layers.items()
        for key, parameter in layer.named_parameters(recurse=False)
        if parameters == "all" or key == "weight"
    }


def left_out(net: nn.Module) -> list[str]:
    """Names of the matrices and kernels that cannot be pruned, because of their layers' kinds."""
    layers = prunable_layers(net)
    return [
        f"{name}.{key}"
        for name, module in net.named_modules()
        if name not in layers
        for key, parameter in module.named_parameters(recurse=False)
        if parameter.ndim > 1
    ]


def is_piecewise_linear(net: nn.Module) -> bool:
    """Whether the network is piecewise linear, so that the diagonal of its Gauss-Newton matrix is
    that of the Hessian: it has no smooth activation and no LayerNorm.
    """
    leaves = [m for m in net.modules() if not any(True for _ in m.children())]
    is_mixed = any(type(m).__name__ == "Mixture" for m in net.modules())
    return not is_mixed and all(type(m).__name__ in PIECEWISE_LINEAR for m in leaves)


class Squares:
    """Sums over samples of squared gradients of one layer's parameters.

    A sample's gradient of a weight is the sum over positions l (pixels, tokens) of g_l u_l^T, with
    the gradient g of the layer's output and its input u. If there are few positions, the square is
    expanded to sum_l sum_m (g_l g_m) (u_l u_m)^T: the products (g_l g_m) are summed over all
    vectors that are propagated back, and then one matrix product sums over samples and positions.
    Otherwise the gradients are computed, one block of samples at a time.

    Args:
        layer: the layer.
        x: its input, for N samples.
        vectors: about how many vectors are propagated back.
        sums: parameter name in the layer -> sum; changed in place.
    """

    def __init__(self, layer: nn.Module, x: Tensor, vectors: int, sums: dict[str, Tensor]) -> None:
        self.layer, self.x, self.vectors, self.sums = layer, x, vectors, sums
        self.outer: Tensor | None = None

    @cached_property
    def u(self) -> Tensor:
        """The input by position; computed when it is needed, because it is large."""
        return _input(self.layer, self.x)

    @cached_property
    def few(self) -> bool:
        """Whether there are so few positions that expanding the square is faster."""
        positions = self.u.shape[-1]
        return positions <= 16 and positions**2 <= self.vectors * (positions + 16)

    def add(self, gradient: Tensor) -> None:
        """Add the squares for one vector, given the gradient of the layer's output."""
        g = _output(self.layer, gradient)
        if "bias" in self.sums:
            self.sums["bias"] += g.sum(-1).square().sum(0).reshape(-1)
        if type(self.layer).__name__ in NORMS:
            self.sums["weight"] += (g * self.u).sum(-1).square().sum(0).reshape(-1)
        elif self.few:
            products = g.unsqueeze(-1) * g.unsqueeze(-2)
            self.outer = products if self.outer is None else self.outer.add_(products)
        else:
            weight = self.sums["weight"].view(*g.shape[1:3], -1)
            size = max(1, BLOCK // weight.numel())
            # All blocks share a buffer: allocating one for each costs more time than the product.
            buffer = weight.new_empty(min(size, len(g)), *weight.shape)
            blocks = zip(torch.split(g, size), torch.split(self.u, size), strict=True)
            for block_g, block_u in blocks:
                for sample in torch.matmul(block_g, block_u.mT, out=buffer[: len(block_g)]):
                    weight.addcmul_(sample, sample)

    def close(self) -> None:
        """Add the products that `add` has accumulated, if the square is expanded."""
        if self.outer is not None:
            # (N, G, O, L L) and (N, G, K, L L) are contracted over samples and position pairs.
            outer = self.outer.flatten(-2)
            inner = (self.u.unsqueeze(-1) * self.u.unsqueeze(-2)).flatten(-2)
            left = outer.permute(1, 2, 0, 3).flatten(2)
            right = inner.permute(1, 0, 3, 2).flatten(1, 2)
            self.sums["weight"] += (left @ right).reshape_as(self.sums["weight"])
            # Rounding may leave a square below zero.
            self.sums["weight"].clamp_(min=0)


def no_squares(layer: nn.Module) -> dict[str, Tensor]:
    """Parameter name -> zeros of the parameter's shape, for the sums of a layer."""
    # Not zeros_like, which would copy the memory order of channels-last weights.
    return {k: p.new_zeros(p.shape) for k, p in layer.named_parameters(recurse=False)}


def _plain(layer: nn.Conv2d) -> bool:
    """Whether a convolution pads with zeros, by numbers."""
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _input(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer's input by position: (N, groups, inputs of an output, L)."""
    if isinstance(layer, nn.Conv2d):
        padding = layer.padding
        assert not isinstance(padding, str)
        if layer.kernel_size == (1, 1) and not any(padding):
            u = x[..., :: layer.stride[0], :: layer.stride[1]].flatten(2)
        else:
            u = F.unfold(x, layer.kernel_size, layer.dilation, padding, layer.stride)
        return u.reshape(len(u), layer.groups, -1, u.shape[-1])
    if isinstance(layer, nn.BatchNorm2d):
        assert layer.running_mean is not None, "batch norm without running statistics"
        return _output(layer, F.batch_norm(x, layer.running_mean, layer.running_var, eps=layer.eps))
    if isinstance(layer, nn.LayerNorm):
        return _output(layer, F.layer_norm(x, layer.normalized_shape, eps=layer.eps))
    return x.reshape(len(x), -1, x.shape[-1]).mT.unsqueeze(1)


def _output(layer: nn.Module, g: Tensor) -> Tensor:
    """A gradient of the layer's output by position: (N, groups, outputs, L)."""
    if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        return g.reshape(len(g), groups, g.shape[1] // groups, -1)
    return g.reshape(len(g), -1, g.shape[-1]).mT.unsqueeze(1)
