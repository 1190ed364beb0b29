"""Dynamic batching: images that arrive together pass through the network together."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.runtime.early_exit import EarlyExit, Traced

Pixels = NDArray[np.uint8]


class _Item(NamedTuple):
    pixels: Pixels
    answer: "asyncio.Future[Traced]"
    arrived: float


class Batches:
    """Collects images and answers them in one pass of the network, in a thread of its own.

    While one batch is computed, the next collects. An image waits for others only while some are
    being decoded, and never longer than `max_wait`.

    Args:
        compute: images (B, size, size, 3) to their answers.
        max_batch: images in one pass.
        max_wait: seconds that an image waits for others at most.
        more: whether other images are about to come.
    """

    def __init__(
        self,
        compute: Callable[[Pixels], Traced],
        *,
        max_batch: int,
        max_wait: float,
        more: Callable[[], bool],
    ) -> None:
        self._compute, self._more = compute, more
        self._max_batch, self._max_wait = max_batch, max_wait
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()

    async def answer(self, pixels: Pixels) -> Traced:
        """The answer for one image, (size, size, 3), as a batch of one.

        Raises:
            Exception: whatever the network raised for the batch.
        """
        answer: asyncio.Future[Traced] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Item(pixels, answer, time.monotonic()))
        return await answer

    async def run(self) -> None:
        """Answer batch by batch, until this is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "network") as thread:
            while True:
                items = await self._collect()
                pixels = np.stack([item.pixels for item in items])
                try:
                    traced = await loop.run_in_executor(thread, self._compute, pixels)
                except Exception as error:  # whatever the network raises, the server goes on
                    _fail(items, error)
                else:
                    _hand_out(items, traced)

    async def _collect(self) -> list[_Item]:
        """The images of the next batch, at least one."""
        items = [await self._queue.get()]
        left = items[0].arrived + self._max_wait - time.monotonic()
        deadline = asyncio.get_running_loop().time() + left
        while len(items) < self._max_batch and (self._more() or not self._queue.empty()):
            try:
                async with asyncio.timeout_at(deadline):
                    items.append(await self._queue.get())
            except TimeoutError:
                break
        return items


def _hand_out(items: Sequence[_Item], traced: Traced) -> None:
    """Give each image its answer."""
    for row, item in enumerate(items):
        if not item.answer.done():  # its request may have been cancelled
            answers = EarlyExit._make(values[row : row + 1] for values in traced.answers)
            item.answer.set_result(Traced(answers, traced.exits[row : row + 1]))


def _fail(items: Sequence[_Item], error: Exception) -> None:
    """Give each image the error in place of an answer."""
    for item in items:
        if not item.answer.done():
            item.answer.set_exception(error)
