"""Forward and backward passes that are recorded once and then replayed without Python.

On a GPU a small network computes faster than Python can launch its several hundred kernels. A CUDA
graph launches all of them at once. It repeats the same kernels on the same memory, so everything
that changes from step to step has to lie in tensors that are changed in place.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fairexit.errors import reason, short
from fairexit.methods import Method
from fairexit.terminal import note
from fairexit.types import Batch

WARM_UP = 3
"""Batches of a size that are computed as usual before it is recorded: libraries choose their
kernels and reserve their memory meanwhile."""
LIBRARIES = ("fairexit", "torch", "torchvision", "timm")
"""Packages whose networks keep nothing in Python that changes from step to step."""
WAITING = {
    "_local_scalar_dense", "allclose", "bincount", "equal", "histc", "is_nonzero", "masked_select",
    "multinomial", "nonzero", "nonzero_numpy", "unique_consecutive", "unique_dim", "_unique",
    "_unique2",
}  # fmt: skip
"""Operations that wait for the GPU, or whose result has a size that depends on the values."""


class Recorder(Protocol):
    """Records what a function computes, so that it can be repeated on the same memory."""

    def warm(self, compute: Callable[[], Tensor]) -> Tensor:
        """Compute as usual, where it will be recorded."""

    def record(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Record the function; its result, which is valid after each replay, and the replay."""


class CudaGraphs:
    """Records CUDA graphs on a stream of their own."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, torch.cuda.Stream(device)

    def warm(self, compute: Callable[[], Tensor]) -> Tensor:
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = compute()
        current.wait_stream(self.stream)
        return result

    def record(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            result = compute()
        return result, graph.replay


def recorder_for(device: torch.device) -> Recorder | None:
    """The recorder of a device; None if Python launches its operations fast enough."""
    return CudaGraphs(device) if device.type == "cuda" else None


def obstacle(method: Method, processes: int) -> str | None:
    """Why the steps of a run cannot be recorded; None if they can.

    Args:
        method: the method with its network.
        processes: number of processes that train together.
    """
    if processes > 1:
        return f"{processes} processes exchange gradients"
    kind = type(method)
    if not kind.capturable:
        return f"method {kind.__name__} does not declare itself capturable"
    known = {*LIBRARIES, _package(method)}  # the method speaks for what comes with it
    for module in method.modules():
        if _package(module) not in known:
            return f"the layer {type(module).__name__} is from outside: {_package(module)}"
    return None


def _package(module: nn.Module) -> str:
    """The package of a module's class."""
    return type(module).__module__.partition(".")[0]


class Watch(TorchDispatchMode):
    """Watches what is computed for what cannot be recorded, without changing it.

    Attributes:
        obstacle: the first operation that waits for the GPU or leaves it, in words; None so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.obstacle: str | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        self.obstacle = self.obstacle or _waiting(name, args) or _copying(name, args, result)
        return result


def _waiting(name: str, args: Sequence[Any]) -> str | None:
    """What an operation waits for, if its result or its size depends on values."""
    if name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
        isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
    ):
        return "a step selects by a mask, which waits for the GPU"
    by_counts = name == "repeat_interleave" and isinstance(args[0], Tensor)
    from_list = name == "lift_fresh" and args[0].dim() > 0
    if name in WAITING or by_counts or from_list:
        return f"a step calls {name}, which waits for the GPU"
    return None


def _copying(name: str, args: Sequence[Any], result: Any) -> str | None:
    """Between which devices an operation copies, if it does."""
    if name not in ("_to_copy", "copy_"):
        return None
    target, source = (args[0], args[1]) if name == "copy_" else (result, args[0])
    if target.device.type == source.device.type:
        return None
    return f"a step copies a tensor from {source.device.type} to {target.device.type}"


class Recording(NamedTuple):
    """The passes of one size of batch.

    Attributes:
        batch: the tensors that are read.
        values: the result.
        gradients: the gradient of each parameter, or None.
        replay: computes values and gradients anew.
    """

    batch: Batch
    values: Tensor
    gradients: list[Tensor | None]
    replay: Callable[[], None]


class Captured:
    """Forward and backward passes, recorded once for each size of batch and replayed afterwards.

    The first batches of a size are computed as usual, and so is every batch once something could
    not be recorded, which is said in one line.

    Args:
        compute: computes the passes of a batch; leaves gradients in the parameters, which have none
            before, and returns numbers for the log.
        parameters: all parameters.
        recorder: what records.
    """

    def __init__(
        self,
        compute: Callable[[Batch], Tensor],
        parameters: Sequence[nn.Parameter],
        recorder: Recorder,
    ) -> None:
        self.compute, self.parameters, self.recorder = compute, list(parameters), recorder
        self.works = True
        self._seen: Counter[int] = Counter()
        self._recordings: dict[int, Recording] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """Compute the passes of a batch; the result is valid until the next call."""
        if not self.works:
            return self.compute(batch)
        size = len(batch.labels)
        if size not in self._recordings:
            self._seen[size] += 1
            if self._seen[size] <= WARM_UP:
                return self._warm(batch, is_last=self._seen[size] == WARM_UP)
            try:
                self._recordings[size] = self._record(batch)
            except RuntimeError as error:  # of CUDA, whose kinds are many
                self._give_up(short(reason(error), 200))
                return self._afresh(batch)
        return self._replay(self._recordings[size], batch)

    def forget(self) -> None:
        """Record anew, because other parameters are trained from now on."""
        self._recordings.clear()
        self._seen.clear()

    def _warm(self, batch: Batch, *, is_last: bool) -> Tensor:
        if not is_last:
            return self.recorder.warm(lambda: self.compute(batch))
        with Watch() as watch:
            values = self.recorder.warm(lambda: self.compute(batch))
        if watch.obstacle:
            self._give_up(watch.obstacle)
        return values

    def _give_up(self, why: str) -> None:
        self.works = False
        self.forget()
        note(f"note: the steps are not captured in CUDA graphs: {why}")

    def _afresh(self, batch: Batch) -> Tensor:
        """Compute as usual after a recording that failed, of which nothing was computed."""
        for parameter in self.parameters:
            parameter.grad = None
        return self.compute(batch)

    def _record(self, batch: Batch) -> Recording:
        static = Batch(*(tensor.clone() for tensor in batch))
        values, replay = self.recorder.record(lambda: self.compute(static))
        return Recording(static, values, [p.grad for p in self.parameters], replay)

    def _replay(self, recording: Recording, batch: Batch) -> Tensor:
        for static, tensor in zip(recording.batch, batch, strict=True):
            static.copy_(tensor)
        recording.replay()
        # A batch that was computed as usual, or another size, has put others there.
        for parameter, gradient in zip(self.parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        return recording.values
