"""The networks of an export as modules of a single input, and their conversion to ONNX."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fairexit.errors import UserError, reason, short
from fairexit.models import ExitNet


class AllExits(nn.Module):
    """The whole network: images (B, 3, H, W) to the logits (B, C) of each exit."""

    input = "images"

    def __init__(self, net: ExitNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(exit.logits for exit in self.net(images))

    @property
    def outputs(self) -> list[str]:
        return [f"logits-{name}" for name in self.net.exit_names]


class Segment(nn.Module):
    """The part of a network from one exit to the next.

    Args:
        net: the network.
        number: index of the exit at which the segment ends, from 0.
    """

    def __init__(self, net: ExitNet, number: int) -> None:
        super().__init__()
        start = net.positions[number - 1] + 1 if number else 0
        self.position = net.positions[number]
        self.net, self.is_first, self.is_last = net, number == 0, number == net.num_exits - 1
        self.stages = range(start, self.position + 1)
        self.name = net.exit_names[number]
        self.input = "images" if self.is_first else f"features-{net.exit_names[number - 1]}"

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features of the exit before, or images, to features, but for the last, and logits."""
        backbone = self.net.backbone
        if self.is_first:
            features = backbone.normalise(features)
        for stage in self.stages:
            features = backbone.stages[stage](features)
        if self.is_last:
            return (backbone.head(features).logits,)
        exit = self.net.internal_exit(self.position, features)
        assert exit is not None
        return features, exit.logits

    @property
    def outputs(self) -> list[str]:
        names = [f"logits-{self.name}"]
        return names if self.is_last else [f"features-{self.name}", *names]


def modules(net: ExitNet, form: str) -> dict[str, AllExits | Segment]:
    """The graphs of a form in running order, by the names of their files without the ending."""
    if form == "staged":
        return {
            f"model-exit-{name}": Segment(net, number) for number, name in enumerate(net.exit_names)
        }
    return {"model": AllExits(net)}


def program(module: nn.Module, example: Tensor) -> ExportedProgram:
    """A module as a program of torch.export whose batch has any size.

    Args:
        module: in evaluation mode, with a single input.
        example: an input, (B, ...), with B at least 2.
    """
    return torch.export.export(
        module, (example,), dynamic_shapes=({0: Dim("batch")},), strict=False
    )


@torch.no_grad()
def write_graphs(net: ExitNet, form: str, size: int, folder: Path) -> list[str]:
    """Write the graphs of a form.

    Args:
        net: the network in evaluation mode on the CPU.
        form: `all-exits` or `staged`.
        size: side of the network's images in pixels.
        folder: an existing folder.
    Returns:
        Names of the files in running order.
    Raises:
        UserError: PyTorch cannot convert the network to ONNX.
    """
    files = []
    values = torch.rand(2, 3, size, size)
    for name, module in modules(net, form).items():
        write_onnx(module.eval(), values, folder / f"{name}.onnx")
        files.append(f"{name}.onnx")
        values = module(values)[0]
    return files


def write_onnx(module: AllExits | Segment, example: Tensor, file: Path) -> None:
    """Convert a module to ONNX; arguments as for `program`, errors as for `write_graphs`."""
    with _converting(module.net, "ONNX"):
        exported = program(module, example)
        if any(node.target in DECOMPOSITIONS for node in exported.graph.nodes):
            exported = exported.run_decompositions(DECOMPOSITIONS)
        converted = torch.onnx.export(
            exported,
            (),
            dynamo=True,
            verbose=False,
            input_names=[module.input],
            output_names=module.outputs,
            external_data=False,
        )
        assert converted is not None
        converted.save(file, external_data=False)


def write_program(net: ExitNet, size: int, file: Path) -> None:
    """Write the network with all exits as a program of torch.export.

    Raises:
        UserError: PyTorch cannot convert the network.
    """
    with _converting(net, "a program of torch.export"):
        torch.export.save(program(AllExits(net).eval(), torch.rand(2, 3, size, size)), file)


@contextlib.contextmanager
def _converting(net: ExitNet, target: str) -> Iterator[None]:
    """Hide what the exporters print, and turn their errors into one line."""
    try:
        with _quiet():
            yield
    except Exception as error:  # any layer may fail in many ways
        raise UserError(
            f"PyTorch cannot convert {net.config['name']} to {target}: {short(_cause(error), 300)}"
        ) from None


def _cause(error: BaseException) -> str:
    """The first line of the innermost error, as the outer ones hold advice on PyTorch's code."""
    while error.__cause__ is not None:
        error = error.__cause__
    return reason(error) if isinstance(error, Exception) else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the notes and warnings of the exporters, which are about their own code."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _adaptive_max_pool(x: Tensor, output_size: list[int]) -> tuple[Tensor, Tensor]:
    """Adaptive max pooling of maps of a known size, in operations that ONNX has.

    Returns:
        The pooled maps; and zeros in place of the positions of the maxima, which nobody reads.
    """
    for axis, cells in zip((-2, -1), output_size, strict=True):
        length = x.shape[axis]
        windows = [
            x.narrow(axis, i * length // cells, -(-(i + 1) * length // cells) - i * length // cells)
            for i in range(cells)
        ]
        x = torch.stack([window.amax(axis) for window in windows], axis)
    return x, torch.zeros_like(x, dtype=torch.int64)


DECOMPOSITIONS: dict[Any, Any] = {
    torch.ops.aten.adaptive_max_pool2d.default: _adaptive_max_pool,
}
"""Operations for which PyTorch's exporter has no ONNX form."""
