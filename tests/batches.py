"""Batches for the streaming metric, and what the table of the same samples gives."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairexit.metrics import METRICS, compute, count
from fairexit.metrics.rates import Empty

TINY = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
"""A batch in which group 1 misses its only sample of class 1."""


def draw(n: int = 50, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (n, 4), targets without class 3, groups of which some are unknown."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 4, generator=generator)
    target = torch.randint(0, 3, (n,), generator=generator)
    return logits, target, torch.randint(-1, 3, (n,), generator=generator, dtype=torch.int8)


def of_table(logits: Tensor, target: Tensor, groups: Tensor, empty: Empty = "exclude") -> Any:
    counts = count(
        target.numpy(), logits.argmax(1).numpy(), groups.numpy(), num_classes=4, num_groups=3
    )
    return {name: value.item() for name, value in compute(counts, empty=empty).items()}


def assert_values(computed: dict[str, Tensor], expected: dict[str, float]) -> None:
    assert list(computed) == list(expected) == list(METRICS)
    assert all(value.shape == () for value in computed.values())
    values = [value.item() for value in computed.values()]
    np.testing.assert_allclose(values, list(expected.values()), rtol=1e-6)
