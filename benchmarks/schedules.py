"""The learning rate of every step, drawn on top of what torch's own schedulers say.

    python benchmarks/schedules.py [--out docs/screenshots/schedules.png]

Prints the largest difference of each schedule. tests/training/test_optim.py compares many more.
"""

import argparse
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import torch
from torch.optim import lr_scheduler as torch_schedulers

from fairexit.config_train import TrainConfig
from fairexit.training.optim import learning_rate
from timing import table

EPOCHS, STEPS, PEAK, WARM_EPOCHS = 12, 20, 0.02, 1.5
MILESTONES = [6, 10]
SCHEDULES: tuple[Literal["cosine", "step", "constant"], ...] = ("cosine", "step", "constant")


def ours(config: TrainConfig) -> list[float]:
    """The rate of every step of a training."""
    return [learning_rate(config, e, s, STEPS) for e in range(EPOCHS) for s in range(STEPS)]


def of_torch(schedule: str) -> list[float]:
    """The rate of every step, by torch's schedulers, with a linear warm-up."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    warm = round(WARM_EPOCHS * STEPS)
    warm_up = torch_schedulers.LinearLR(optimizer, 1 / warm, 1.0, total_iters=warm - 1)
    scheduler: Any
    if schedule == "cosine":
        cosine = torch_schedulers.CosineAnnealingLR(optimizer, EPOCHS * STEPS - warm)
        scheduler = torch_schedulers.SequentialLR(optimizer, [warm_up, cosine], milestones=[warm])
    else:
        steps = [m * STEPS for m in MILESTONES] if schedule == "step" else []
        later = torch_schedulers.MultiStepLR(optimizer, steps, gamma=0.1)
        scheduler = torch_schedulers.ChainedScheduler([warm_up, later], optimizer)
    rates = []
    for _ in range(EPOCHS * STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots/schedules.png"))
    out = parser.parse_args().out
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
    epochs = [step / STEPS for step in range(EPOCHS * STEPS)]
    rows = []
    for axis, schedule in zip(axes, SCHEDULES, strict=True):
        config = TrainConfig(
            epochs=EPOCHS, lr=PEAK, schedule=schedule, warmup=WARM_EPOCHS, milestones=MILESTONES
        )
        rates, expected = ours(config), of_torch(schedule)
        axis.plot(epochs, expected, color="#E69F00", linewidth=5, alpha=0.6, label="torch")
        axis.plot(epochs, rates, color="#0072B2", linewidth=1.2, label="fairexit")
        axis.set(title=f"train.schedule: {schedule}", xlabel="epoch", ylim=(0, None))
        largest = max(abs(a - b) for a, b in zip(rates, expected, strict=True))
        rows.append([schedule, f"{largest:.1e}", f"{max(rates):g}"])
    axes[0].set_ylabel("learning rate")
    axes[0].legend(frameon=False)
    figure.savefig(out, dpi=110)
    print(table(["schedule", "largest difference", "highest rate"], rows))


if __name__ == "__main__":
    main()
