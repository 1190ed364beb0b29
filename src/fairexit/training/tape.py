"""A stand-in for CUDA graphs that works on every device: operations are noted and repeated.

As a CUDA graph does, it repeats the operations without Python, on the same memory. So what Python
alone knows about a step, such as a number that changes, stays as it was when it was recorded.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Tape(TorchDispatchMode):
    """Records what is computed; a `fairexit.training.capture.Recorder` for tests."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._noted: list[tuple[Any, Sequence[Any], dict[str, Any], list[Tensor]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self._noted.append((func, args, kwargs or {}, _new_tensors(func, result)))
        return result

    def warm(self, compute: Callable[[], Tensor]) -> Tensor:
        return compute()

    def record(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Compute and record; the first replay is the computation itself."""
        self._noted = []
        with self:
            result = compute()
        noted, replays = self._noted, iter([True])

        @torch.no_grad()
        def replay() -> None:
            if next(replays, False):
                return
            for func, args, kwargs, outputs in noted:
                for old, new in zip(
                    outputs, _new_tensors(func, func(*args, **kwargs)), strict=True
                ):
                    old.copy_(new)

        return result, replay


def _new_tensors(func: Any, result: Any) -> list[Tensor]:
    """The results of an operation that lie in memory of their own."""
    results = result if isinstance(result, tuple | list) else [result]
    returns = func._schema.returns
    if len(returns) == 1:  # a list counts as one
        returns = [returns[0]] * len(results)
    return [
        value
        for value, described in zip(results, returns, strict=True)
        if isinstance(value, Tensor) and described.alias_info is None
    ]
