"""Which parameters can be pruned, and the squared gradients of single samples in each layer."""

from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fairexit.config import PruneConfig
from fairexit.errors import UserError, nearest, short

BLOCK = 2**20
"""Numbers of per-sample gradients that are held at a time; small enough for a CPU's cache."""

LINEAR = ("Conv2d", "Linear")
NORMS = ("BatchNorm2d", "LayerNorm")
PIECEWISE_LINEAR = {
    *("Conv2d", "Linear", "BatchNorm2d", "ReLU", "LeakyReLU", "Identity", "Flatten", "Dropout"),
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "MixedPool"),
}


def prunable_layers(net: nn.Module, parameters: str = "weights") -> dict[str, nn.Module]:
    """The layers whose parameters can be pruned, by name.

    Args:
        net: the network.
        parameters: `weights`, of convolutions and linear layers; or `all`, normalisation too.
    """
    kinds = LINEAR if parameters == "weights" else LINEAR + NORMS
    return {
        name: module
        for name, module in net.named_modules()
        if type(module).__name__ in kinds
        and type(module).__module__.startswith("torch.nn.")
        # Padding by name or by reflection is not what `unfold` does.
        and not (isinstance(module, nn.Conv2d) and not _plain(module))
    }


def choose_layers(net: nn.Module, config: PruneConfig) -> dict[str, nn.Module]:
    """The layers that settings want pruned: all, or those that are named or lie in a named part.

    Raises:
        UserError: a name that fits no layer.
    """
    layers = prunable_layers(net, config.parameters)
    if config.layers is None:
        return layers
    chosen: dict[str, nn.Module] = {}
    for name in config.layers:
        found = {k: v for k, v in layers.items() if k == name or k.startswith(f"{name}.")}
        if not found:
            raise UserError(
                f"prune.layers: there is no layer '{short(name)}' to prune; {nearest(name, layers)}"
            )
        chosen |= found
    return {name: layer for name, layer in layers.items() if name in chosen}


def prunable_parameters(
    layers: dict[str, nn.Module], parameters: str = "weights"
) -> dict[str, nn.Parameter]:
    """The parameters of layers that can be pruned, by their names in the network."""
    return {
        f"{name}.{key}": parameter
        for name, layer in layers.items()
        for key, parameter in layer.named_parameters(recurse=False)
        if parameters == "all" or key == "weight"
    }


def left_out(net: nn.Module) -> list[str]:
    """Matrices and kernels of the network that lie in no layer that can be pruned."""
    layers = prunable_layers(net)
    return [
        f"{name}.{key}"
        for name, module in net.named_modules()
        if name not in layers
        for key, parameter in module.named_parameters(recurse=False)
        if parameter.ndim > 1
    ]


def is_piecewise_linear(net: nn.Module) -> bool:
    """Whether the Gauss-Newton diagonal is the Hessian's: no smooth activation, no LayerNorm."""
    leaves = [m for m in net.modules() if not any(True for _ in m.children())]
    own = any(type(m).__name__ == "Mixture" for m in net.modules())
    return not own and all(type(m).__name__ in PIECEWISE_LINEAR for m in leaves)


class Squares:
    """Sums over samples of squared gradients of one layer's parameters.

    A sample's gradient of a weight is the sum over positions l (pixels, tokens) of g_l u_l^T, with
    the gradient g of the layer's output and its input u. Where there are few positions the square
    is expanded, sum_l sum_m (g_l g_m) (u_l u_m)^T: the brackets on the left are summed over all
    vectors that are pulled back, and one matrix product sums over samples and positions. Else the
    gradients are formed, a block of samples at a time.

    Args:
        layer: the layer.
        x: its input, of N samples.
        vectors: about how many vectors will be pulled back.
        sums: by the parameters' names in the layer; added to.
    """

    def __init__(self, layer: nn.Module, x: Tensor, vectors: int, sums: dict[str, Tensor]) -> None:
        self.layer, self.x, self.vectors, self.sums = layer, x, vectors, sums
        self.outer: Tensor | None = None

    @cached_property
    def u(self) -> Tensor:
        """The input by position; large, so not before it is needed."""
        return _input(self.layer, self.x)

    @cached_property
    def few(self) -> bool:
        """Whether there are few positions."""
        positions = self.u.shape[-1]
        return positions <= 16 and positions**2 <= self.vectors * (positions + 16)

    def add(self, gradient: Tensor) -> None:
        """Add one vector's pull-back, the gradient of the layer's output."""
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
            # One room for all blocks: fresh memory each time costs more than the product.
            room = weight.new_empty(min(size, len(g)), *weight.shape)
            for some_g, some_u in zip(torch.split(g, size), torch.split(self.u, size), strict=True):
                for one in torch.matmul(some_g, some_u.mT, out=room[: len(some_g)]):
                    weight.addcmul_(one, one)

    def close(self) -> None:
        """Add what is left to add."""
        if self.outer is not None:
            # (N, G, O, L L) and (N, G, K, L L), contracted over samples and pairs of positions
            outer = self.outer.flatten(-2)
            inner = (self.u.unsqueeze(-1) * self.u.unsqueeze(-2)).flatten(-2)
            left = outer.permute(1, 2, 0, 3).flatten(2)
            right = inner.permute(1, 0, 3, 2).flatten(1, 2)
            self.sums["weight"] += (left @ right).reshape_as(self.sums["weight"])
            # Rounding may leave a square below zero.
            self.sums["weight"].clamp_(min=0)


def no_squares(layer: nn.Module) -> dict[str, Tensor]:
    """Zeros for the sums of a layer."""
    # Not like p, whose memory may be in another order.
    return {k: p.new_zeros(p.shape) for k, p in layer.named_parameters(recurse=False)}


def _plain(layer: nn.Conv2d) -> bool:
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
