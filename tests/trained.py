"""Runs that train in about a second, and how they are interrupted and compared."""

import pandas as pd
import torch
from safetensors.torch import load_file

from fairexit.config_files import build_config
from fairexit.training import checkpoint

WITHOUT_BATCH_NORM = "timm/test_vit"
WITH_BATCH_NORM = "timm/test_efficientnet"


class KilledError(Exception):
    """Stands for a kill of the process."""


def quick(data, backbone=WITHOUT_BATCH_NORM, method="erm", **train):
    """Settings of three epochs of a plain network; keywords are settings of `train`."""
    epochs = {"epochs": 3, "batch_size": 32, "schedule": "constant"}
    return build_config(
        {
            "data": {"path": str(data.path), "augment": "none"},
            "model": {"backbone": backbone, "exits": "none"},
            "method": {"name": method},
            "train": epochs | train,
        }
    )


def kill_after(monkeypatch, calls):
    """Stop the training right after the checkpoint of an epoch was written."""
    original, done = checkpoint.save_checkpoint, []

    def save(*args):
        original(*args)
        done.append(1)
        if len(done) == calls:
            raise KilledError

    monkeypatch.setattr(checkpoint, "STORE_EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "save_checkpoint", save)


def largest_difference(one, two):
    """Between the weights in two files."""
    a, b = load_file(one), load_file(two)
    assert a.keys() == b.keys()
    return max(float((a[k].double() - b[k].double()).abs().max()) for k in a)


def same_weights(one, two):
    """Whether two files have the same weights, bit for bit."""
    a, b = load_file(one), load_file(two)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def same_runs(one, two):
    """Whether two runs have the same weights, bit for bit, and the same log but for the times."""
    for file in ("model.safetensors", "last.safetensors"):
        if not same_weights(one.path / file, two.path / file):
            return False
    logs = [pd.read_csv(run.path / "log.csv") for run in (one, two)]
    timeless = [c for c in logs[0] if "seconds" not in c]
    return logs[0][timeless].equals(logs[1][timeless])
