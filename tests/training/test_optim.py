"""The learning rate of every step, against the schedulers of torch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    SequentialLR,
)

from fairexit.config_train import TrainConfig
from fairexit.training.optim import learning_rate


def rates(config, steps):
    """Ours, of all steps of a training."""
    return [learning_rate(config, e, s, steps) for e in range(config.epochs) for s in range(steps)]


def torch_rates(config, steps, warm):
    """Torch's, with a warm-up of `warm` steps that starts at the share 1 / warm."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config.lr)
    total = config.epochs * steps
    linear = LinearLR(optimizer, 1 / max(warm, 1), 1.0, total_iters=max(warm - 1, 0))
    if config.schedule == "cosine":
        cosine = CosineAnnealingLR(optimizer, max(total - warm, 1))
        scheduler = SequentialLR(optimizer, [linear, cosine], milestones=[warm]) if warm else cosine
    elif config.schedule == "step":
        step = MultiStepLR(optimizer, [m * steps for m in config.milestones], gamma=0.1)
        scheduler = ChainedScheduler([linear, step], optimizer) if warm else step
    else:
        constant = ConstantLR(optimizer, 1.0)
        scheduler = ChainedScheduler([linear, constant], optimizer) if warm else constant
    values = []
    for _ in range(total):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


# Whole epochs, parts of one step, and ends inside an epoch: warm-up in epochs, steps of an epoch,
# and steps of warm-up.
WARM_UPS = [
    (0, 5, 0),
    (1, 5, 5),
    (2, 6, 12),
    (0.5, 6, 3),
    (0.5, 3, 2),
    (0.25, 6, 2),
    (0.1, 6, 1),
    (0.1, 1, 0),
    (1.5, 1, 2),
    (0.01, 40, 0),
    (0.1, 30, 3),
    (4, 3, 12),
]


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
@pytest.mark.parametrize(("warmup", "steps", "warm"), WARM_UPS)
def test_every_step_has_the_rate_of_torch(schedule, warmup, steps, warm):
    config = TrainConfig(
        epochs=4, lr=0.3, schedule=schedule, warmup=warmup, milestones=[1, 3], batch_size=8
    )
    expected = torch_rates(config, steps, warm)
    assert rates(config, steps) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(
    st.integers(1, 6),
    st.integers(1, 12),
    st.floats(0, 1),
    st.sampled_from(["cosine", "step", "constant"]),
)
def test_no_rate_is_above_the_highest_and_a_warm_up_reaches_it(epochs, steps, share, schedule):
    config = TrainConfig(
        epochs=epochs, lr=0.1, schedule=schedule, warmup=share * epochs, milestones=[epochs]
    )
    values = rates(config, steps)
    assert all(0 < value <= 0.1 for value in values)
    assert max(values) == 0.1


def test_milestones_lower_the_rate_after_their_epochs():
    config = TrainConfig(lr=1.0, schedule="step", milestones=[2, 3], epochs=4)
    assert rates(config, 5)[::5] == pytest.approx([1, 1, 0.1, 0.01])
