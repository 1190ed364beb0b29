"""Stored epochs: killed at any write, the weights are those of the epoch that the log keeps."""

import contextlib
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fairexit.runs import Run
from fairexit.training import checkpoint
from fairexit.training.checkpoint import Checkpoints
from fairexit.training.log import kept_epoch
from trained import KilledError

EPOCHS = 8


def train_until_killed(run, rng, select):
    """Epochs whose weights and scores are drawn, so that one done again is another."""
    net = nn.Linear(1, 1)
    checkpoints = Checkpoints(run, {"net": net}, select)
    progress = checkpoints.load()
    for epoch in range(progress.epoch + 1, EPOCHS + 1):
        weight = rng.random()
        nn.init.constant_(net.weight, weight)
        progress.epoch = epoch
        scores = dict(zip(("val_f1", "val_eodd"), rng.random(2).tolist(), strict=True))
        progress.rows.append(scores | {"weight": weight})
        checkpoints.store(net, progress, now=epoch == EPOCHS or rng.random() < 0.4)
    return checkpoints.best(progress), progress


@pytest.mark.parametrize("select", ["f1", "eodd"])
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_write(tmp_path, monkeypatch, select, seed):
    rng, write = np.random.default_rng(seed), checkpoint.write_atomically

    def deadly(path, content):
        if rng.random() < 0.2:
            raise KilledError
        write(path, content)
        if rng.random() < 0.2:
            raise KilledError

    monkeypatch.setattr(checkpoint, "write_atomically", deadly)
    monkeypatch.setattr(checkpoint, "STORE_EVERY", math.inf)
    for _ in range(1000):
        with contextlib.suppress(KilledError):
            best, progress = train_until_killed(Run(tmp_path), rng, select)
            break
    else:
        pytest.fail("it was killed every time")
    kept = progress.rows[kept_epoch(progress.rows, select) - 1]
    assert load_file(best)["weight"].item() == torch.tensor(kept["weight"]).float().item()
    assert len(progress.rows) == EPOCHS
    assert [file.name for file in best.parent.glob("best-*")] == [best.name]
