"""The curvature of the multi-exit loss: the diagonal of its generalised Gauss-Newton matrix.

For loss = sum_k alpha_k l_k the matrix is sum_k alpha_k J_k^T H_k J_k, with the Jacobian J_k of
exit k's logits and the Hessian H_k of the cross-entropy in these logits, which does not depend on
the labels. A weight that several exits share has a term for each of them. There are no mixed
terms, because no logit enters two losses.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from fairexit.data.draws import uniforms
from fairexit.errors import UserError
from fairexit.models import ExitNet
from fairexit.models.exitnet import widen
from fairexit.pruning.layers import Squares, no_squares


@dataclass(frozen=True)
class CurvatureEstimate:
    """How the diagonal is computed.

    Attributes:
        draws: number of random projections per image; None computes the diagonal exactly.
        seed: seed of the projections.
        step: number of the step; each step has other projections.
    """

    draws: int | None = None
    seed: int = 0
    step: int = 0


def softmax_factor(logits: Tensor) -> Tensor:
    """S with S S^T = diag(p) - p p^T, the Hessian of cross-entropy in the logits.

    The Cholesky factor in closed form (Tanabe and Sagae 1992); the rank is C - 1.

    Args:
        logits: (N, C).
    Returns:
        S, (N, C, C - 1).
    """
    p = logits.softmax(-1)
    # Sums from the end: 1 - p loses all digits where p is near 1.
    tail = p.flip(-1).cumsum(-1).flip(-1).clamp_min(torch.finfo(p.dtype).tiny)
    before, after = tail[:, :-1], tail[:, 1:]
    scale = (p[:, :-1] * (after / before)).sqrt()
    below = (p[:, :, None] / after[:, None, :]).tril(-1)
    return (torch.eye(p.shape[1], dtype=p.dtype, device=p.device)[:, :-1] - below) * scale[:, None]


def curvature_sums(
    net: ExitNet,
    batches: Iterable[Tensor],
    exit_weights: Sequence[float],
    layers: Mapping[str, nn.Module],
    *,
    estimate: CurvatureEstimate,
    first: int = 0,
    stride: int = 1,
) -> dict[str, Tensor]:
    """Sum over images of the Gauss-Newton diagonal of each image's loss.

    Exact: the columns of each exit's `softmax_factor` are propagated back one at a time, and the
    squared gradients are summed. Estimate: one sum of the columns of all exits with independent
    random signs is propagated back. In the expectation of its square all mixed terms vanish, so
    the estimate is unbiased, and one backward pass serves all exits.

    Args:
        net: the network in evaluation mode.
        batches: images, (B, 3, H, W); memory grows with B, not with the number of batches.
        exit_weights: alpha, one per exit.
        layers: name -> layer, for the layers whose curvature is computed.
        estimate: exact, or the number of draws.
        first: running number of the first image; together with `stride` it decides the random
            signs of each image, so that these do not depend on how the images are divided.
        stride: difference of the running numbers of successive images.
    Returns:
        Parameter name -> sum, of the parameter's shape.
    Raises:
        UserError: a layer takes no part, runs twice, or does not process single images.
    """
    assert not net.training, "curvature needs the network in evaluation mode"
    sums = {name: no_squares(layer) for name, layer in layers.items()}
    weights = [(k, alpha) for k, alpha in enumerate(exit_weights) if alpha > 0]
    for images in batches:
        with torch.enable_grad(), _Taps(layers, len(images)) as taps:
            exits = net(images.detach().requires_grad_())
            idle = layers.keys() - taps.inputs.keys()
            if idle:
                raise UserError(
                    f"layer '{min(idle)}' takes no part; name other layers in prune.layers"
                )
            logits = [widen(exits[k].logits) for k, _ in weights]
            factors = [
                softmax_factor(z.detach()) * alpha**0.5
                for z, (_, alpha) in zip(logits, weights, strict=True)
            ]
            positions = first + stride * torch.arange(len(images)).numpy()
            first += stride * len(images)
            columns = factors[0].shape[-1] * len(factors)
            vectors = columns if estimate.draws is None else estimate.draws
            squares = {n: Squares(layers[n], x, vectors, sums[n]) for n, x in taps.inputs.items()}
            edges = list(taps.outputs.values())
            for chosen, vector in _vectors(factors, positions, estimate):
                gradients = torch.autograd.grad(
                    [logits[k] for k in chosen], edges, vector, retain_graph=True, allow_unused=True
                )
                for name, gradient in zip(list(squares), gradients, strict=True):
                    if gradient is not None:
                        squares[name].add(gradient)
                    if estimate.draws == 1:  # free the layer's memory before the next layer
                        squares.pop(name).close()
        for square in squares.values():
            square.close()
    return {f"{name}.{key}": v for name, layer in sums.items() for key, v in layer.items()}


def _vectors(
    factors: list[Tensor], positions: Any, estimate: CurvatureEstimate
) -> Iterator[tuple[list[int], list[Tensor]]]:
    """The vectors that are propagated back: indices of exits, and for each a vector (N, C)."""
    if estimate.draws is None:
        for k, factor in enumerate(factors):
            for column in factor.unbind(-1):
                yield [k], [column]
        return
    count, width = len(factors), factors[0].shape[-1]
    for draw in range(estimate.draws):
        number = estimate.step * estimate.draws + draw
        u = uniforms(estimate.seed, number, positions, count * width)
        signs = torch.from_numpy((u < 0.5) * 2.0 - 1.0).to(factors[0])
        parts = signs.view(-1, count, width, 1).unbind(1)
        scale = estimate.draws**-0.5
        yield (
            list(range(count)),
            [
                (factor @ part).squeeze(-1) * scale
                for factor, part in zip(factors, parts, strict=True)
            ],
        )


class _Taps:
    """Records each layer's input and the edge of the graph at which its output's gradient arrives.

    Args:
        layers: name -> layer.
        images: number of images in the batch.
    """

    def __init__(self, layers: Mapping[str, nn.Module], images: int) -> None:
        self.layers, self.images = layers, images
        self.inputs: dict[str, Tensor] = {}
        self.outputs: dict[str, GradientEdge] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> "_Taps":
        for name, layer in self.layers.items():
            self._handles.append(layer.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if name in self.inputs:
                raise UserError(
                    f"layer '{name}' runs twice for each image; name other layers in prune.layers"
                )
            if len(inputs[0]) != self.images:
                raise UserError(
                    f"layer '{name}' does not process one image at a time (perhaps windows of "
                    "images); name other layers in prune.layers"
                )
            self.inputs[name] = inputs[0].detach()
            # The edge and not the tensor, which a ReLU may overwrite in place.
            self.outputs[name] = get_gradient_edge(output)

        return record
