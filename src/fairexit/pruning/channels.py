"""The channels of a stage's output, and the parameters that have to be zero for one to be zero."""

from typing import Any

import torch
from torch import Tensor, nn

from fairexit.errors import UserError
from fairexit.models import ExitNet
from fairexit.pruning.units import Block, Units

PASSED = {
    *("ReluBackward0", "LeakyReluBackward0", "HardtanhBackward0", "SiluBackward0"),
    *("HardswishBackward0", "GeluBackward0", "MishBackward0"),
    *("MaxPool2DWithIndicesBackward0", "MkldnnMaxPool2DBackward0", "AvgPool2DBackward0"),
    *("AdaptiveAvgPool2DBackward0", "MeanBackward1"),
}
"""Steps of the backward pass whose output channel is zero where that channel of the input is."""

NORMS = ("NativeBatchNormBackward0", "CudnnBatchNormBackward0", "MiopenBatchNormBackward0")


def units_of_channels(net: ExitNet, stages: list[int] | None) -> Units:
    """The channels of stages as units; with its parameters at zero, a channel's output is zero.

    These are the kernels that write the channel, and the scale and shift of the batch normalisation
    behind them. Where a stage adds the outputs of several blocks, they are those of all blocks.

    Args:
        net: the network.
        stages: numbers of the stages, from 1; None for the last one.
    Raises:
        UserError: there is no such stage, or its channels are not written by convolutions.
    """
    last, name = len(net.backbone.stages), net.config["name"]
    units = {}
    for number in stages or [last]:
        if not 0 < number <= last:
            raise UserError(f"prune.stages: there is no stage {number}; {name} has {last} stages")
        parameters = _writers(net, number - 1)
        if not parameters:
            raise UserError(
                f"method 'scp' sets channels to zero, but the channels of stage {number} of {name} "
                "are not written by convolutions and batch normalisation alone; choose another "
                "prune.method or other prune.stages"
            )
        names = {id(p): key for key, p in net.named_parameters()}
        channels = torch.Size([net.backbone.widths[number - 1]])
        units[f"stage {number}"] = Block(channels, {names[id(p)]: p for p in parameters})
    return units


def _writers(net: ExitNet, position: int) -> list[nn.Parameter]:
    """The parameters that write the channels of a stage's output; none if others write them.

    They are found by following the backward pass from the stage's output to its convolutions.

    Args:
        net: the network in evaluation mode.
        position: index of the stage, from 0.
    """
    side, parameter = max(net.backbone.min_size, 32), next(net.parameters())
    if net.backbone.fixed_size:
        side = net.backbone.min_size
    x = torch.zeros(1, 3, side, side, device=parameter.device, dtype=parameter.dtype)
    was_training = net.training
    net.eval()
    with torch.enable_grad():
        x = net.backbone.normalise(x)
        for stage in net.backbone.stages[:position]:
            x = stage(x)
        # What a stage only passes through from the one before ends here, and is not followed.
        x = net.backbone.stages[position](x.detach())
    net.train(was_training)
    if x.ndim != 4 or x.shape[1] != net.backbone.widths[position] or x.grad_fn is None:
        return []
    writers: dict[int, nn.Parameter] = {}
    return [*writers.values()] if _follow(x.grad_fn, writers) else []


def _follow(node: Any, writers: dict[int, nn.Parameter]) -> bool:
    """Collect the parameters that write the channels of a node's output.

    Args:
        node: node of the backward pass.
        writers: identity -> parameter; filled in.
    Returns:
        Whether the node's output channels are zero if these parameters are.
    """
    if node is None:
        return False
    name, inputs = node.name(), [before for before, _ in node.next_functions]
    if name == "ConvolutionBackward0":
        return _collect(inputs[1:], writers)
    if name in NORMS:
        if inputs[0] is not None and inputs[0].name() == "ConvolutionBackward0":
            _follow(inputs[0], writers)
        return inputs[1] is not None and _collect(inputs[1:3], writers)
    if name == "AddBackward0":
        return all(_follow(before, writers) for before in inputs)
    if name == "MulBackward0":  # zero if one of the factors is
        return any(_follow(before, writers) for before in inputs)
    return name in PASSED and _follow(inputs[0], writers)


def _collect(nodes: list[Any], writers: dict[int, nn.Parameter]) -> bool:
    """Collect leaves of the backward pass; false if one is not a parameter itself."""
    leaves: list[Tensor | None] = [getattr(node, "variable", None) for node in nodes if node]
    for leaf in leaves:
        if isinstance(leaf, nn.Parameter):
            writers[id(leaf)] = leaf
    return all(isinstance(leaf, nn.Parameter) for leaf in leaves)
