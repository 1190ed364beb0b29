"""What an edit makes of a weight. Each edit leaves what is edited already as it is."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Edit = Callable[[Tensor], Tensor]


def to_zero(weights: Tensor) -> Tensor:
    """Zero in place of every weight."""
    return torch.zeros_like(weights)


def to_power_of_two(weights: Tensor) -> Tensor:
    """The nearest power of two with the weight's sign; zero stays zero.

    Halfway between two powers, the larger one is taken.

    >>> to_power_of_two(torch.tensor([0.7, -0.8, 3.0, 0.0]))
    tensor([ 0.5000, -1.0000,  4.0000,  0.0000])
    """
    mantissa, exponent = torch.frexp(weights.abs())  # the mantissa is in [1/2, 1)
    power = torch.ldexp(torch.ones_like(weights), exponent - (mantissa < 0.75).to(exponent))
    return torch.where(weights == 0, weights, power.copysign(weights))


def to_itself(weights: Tensor) -> Tensor:
    """The weight as it is; further training holds it there."""
    return weights


@torch.no_grad()
def apply(edit: Edit, parameters: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Edit parameters in place where their masks are False; the others stay bit for bit."""
    for name, mask in masks.items():
        parameter = parameters[name]
        parameter.copy_(torch.where(mask.to(parameter.device), parameter, edit(parameter)))
