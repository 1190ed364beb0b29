"""Batches for the training loop, and how long its device waits for them."""

import time
from collections.abc import Iterator

import torch

from fairexit.types import Batch


class Feed:
    """Iterates over batches; on a GPU, each is prepared while the step before it computes.

    There, they are prepared on a stream of their own, and events measure from when to when the
    GPU had no step to compute because the next batch was not ready.

    Args:
        batches: the batches, which are prepared when they are asked for.
        device: their device.
    """

    def __init__(self, batches: Iterator[Batch], device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._waited = 0.0
        self._gaps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __iter__(self) -> Iterator[Batch]:
        return self._ahead() if self._device.type == "cuda" else self._in_turn()

    @property
    def waited(self) -> float:
        """Seconds spent waiting for batches so far; on a GPU, once its work is done."""
        gaps = sum(max(0.0, end.elapsed_time(ready)) for end, ready in self._gaps)
        return self._waited + gaps / 1000

    def _in_turn(self) -> Iterator[Batch]:
        while True:
            began = time.perf_counter()
            batch = next(self._batches, None)
            self._waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def _ahead(self) -> Iterator[Batch]:
        stream, current = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)
        stream.wait_stream(current)
        while True:
            end = torch.cuda.Event(enable_timing=True)
            end.record(current)  # of the step before
            with torch.cuda.stream(stream):
                batch = next(self._batches, None)
                ready = torch.cuda.Event(enable_timing=True)
                ready.record(stream)
            if batch is None:
                return
            self._gaps.append((end, ready))
            current.wait_event(ready)
            for tensor in batch:
                tensor.record_stream(current)
            yield batch
