"""Batches: what arrives together passes together, and the event loop stays free."""

import asyncio
import threading
import time

import numpy as np
import pytest

from fairexit.runtime.early_exit import EarlyExit, Traced
from fairexit.serving.batches import Batches


class Network:
    """Answers each image with its own first value, and notes the sizes of its batches."""

    def __init__(self, gate=None):
        self.sizes, self.threads, self.gate = [], set(), gate

    def __call__(self, pixels):
        if self.gate is not None:
            self.gate.wait(5)
        self.sizes.append(len(pixels))
        self.threads.add(threading.current_thread().name)
        if (pixels == 255).any():
            raise RuntimeError("a bad batch")
        values = pixels[:, 0, 0, :1].astype(np.float32)
        exits = np.zeros(len(pixels), np.int64)
        return Traced(EarlyExit(values, exits, values[:, 0]), values[:, None])


def image(value):
    return np.full((2, 2, 3), value, np.uint8)


def run(scenario, network, **options):
    """Run a coroutine function with batches that collect, and stop them afterwards."""

    async def main():
        settings = {"max_batch": 8, "max_wait": 0.2, "more": lambda: False} | options
        batches = Batches(network, **settings)
        task = asyncio.create_task(batches.run())
        try:
            return await scenario(batches)
        finally:
            task.cancel()
            await asyncio.wait([task])

    return asyncio.run(main())


def test_images_that_arrive_together_are_one_batch_and_keep_their_answers():
    network = Network()

    async def scenario(batches):
        return await asyncio.gather(*(batches.answer(image(k)) for k in range(20)))

    answers = run(scenario, network)
    assert [int(a.answers.confidence[0]) for a in answers] == [*range(20)]
    assert [a.exits.shape for a in answers] == [(1, 1, 1)] * 20
    assert network.sizes == [8, 8, 4]
    assert all(name.startswith("network") for name in network.threads)


def test_what_comes_while_the_network_runs_is_the_next_batch():
    gate = threading.Event()
    network = Network(gate)

    async def scenario(batches):
        first = asyncio.create_task(batches.answer(image(0)))
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(batches.answer(image(k))) for k in range(1, 6)]
        await asyncio.sleep(0.02)  # the loop is free although the network is not
        gate.set()
        await asyncio.gather(first, *others)

    run(scenario, network)
    assert network.sizes == [1, 5]


def test_an_image_waits_only_while_others_come_and_not_for_long():
    async def scenario(batches):
        start = time.monotonic()
        await batches.answer(image(1))
        return time.monotonic() - start

    assert run(scenario, Network(), max_wait=2.0) < 1.0
    waited = run(scenario, Network(), max_wait=0.1, more=lambda: True)
    assert 0.09 < waited < 1.0


def test_an_image_that_comes_in_time_is_in_the_batch():
    network = Network()

    async def scenario(batches):
        async def later():
            await asyncio.sleep(0.02)
            await batches.answer(image(2))

        await asyncio.gather(batches.answer(image(1)), later())

    run(scenario, network, max_wait=2.0, more=lambda: not network.sizes, max_batch=2)
    assert network.sizes == [2]


def test_an_error_reaches_its_batch_only():
    async def scenario(batches):
        bad = await asyncio.gather(batches.answer(image(255)), return_exceptions=True)
        good = await batches.answer(image(3))
        return bad[0], good

    error, good = run(scenario, Network())
    assert str(error) == "a bad batch"
    assert good.answers.confidence.tolist() == [3]


def test_a_request_that_is_cancelled_disturbs_no_other():
    gate = threading.Event()

    async def scenario(batches):
        tasks = [asyncio.create_task(batches.answer(image(k))) for k in (1, 2)]
        await asyncio.sleep(0.02)
        tasks[0].cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        return await tasks[1]

    assert run(scenario, Network(gate)).answers.confidence.tolist() == [2]
