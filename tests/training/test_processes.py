"""Training as a user's shell runs it: several processes, and Ctrl-C."""

import signal
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest

from conftest import settings
from fairexit.inference.predict import predict
from fairexit.metrics.counts import count
from fairexit.metrics.record import compute
from fairexit.runs import open_run

TRAIN = [sys.executable, "-m", "fairexit", "train"]


@pytest.mark.parametrize("train", ["plain", "ema", "swad", "frozen"])
def test_two_processes_validate_each_image_once(tiny, tiny_run, tmp_path, train):
    """The log of two processes holds what the stored weights say of the whole split."""
    changes = {
        "plain": {},
        "ema": {"train__average": "ema"},
        "swad": {"train__average": "swad"},
        "frozen": {
            "train__freeze": "trunk",
            "model": {"backbone": "resnet18", "exits": [1, 3], "start": str(tiny_run.path)},
        },
    }[train]
    both = {"train__device": "cpu", "train__devices": 2, "train__epochs": 2}
    config, out = tmp_path / "c.yaml", tmp_path / "run"
    config.write_text(settings(tiny.path, **both, **changes).to_yaml())
    command = [*TRAIN, config, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained:") == 1
    assert open_run(out).description["images_per_penalty"] == 32
    logged = pd.read_csv(out / "log.csv").iloc[-1]
    (file,) = predict(open_run(out), ["val"], last=True, out=tmp_path / "val")
    found = pd.read_parquet(file)
    val = tiny.frame["split"] == "val"
    assert sorted(found["id"]) == sorted(tiny.frame["id"][val])
    names, groups = tiny.classes, list(tiny.attributes["skin_tone"])
    final = found[[f"pf/{name}" for name in names]].to_numpy()
    answers, labels = final.argmax(1), found["label"].map(names.index).to_numpy()
    # Running means of batch normalisation that differ between the processes would show here.
    loss = -np.log(final[np.arange(len(final)), labels]).mean()
    assert logged["val_loss"] == pytest.approx(loss, rel=1e-4)
    counts = count(
        labels,
        answers,
        found["skin_tone"].map(groups.index).to_numpy(),
        num_classes=len(names),
        num_groups=2,
    )
    for name, value in compute(counts, ("accuracy", "f1", "eodd")).items():
        assert logged[f"val_{name}"] == pytest.approx(float(value), abs=1e-5), name


def test_interrupted_says_how_to_go_on(tiny, tmp_path):
    config, out = tmp_path / "c.yaml", tmp_path / "run"
    config.write_text(settings(tiny.path, train__epochs=500).to_yaml())
    command = [*TRAIN, config, "--out", out]
    # What runs in the background of a shell ignores Ctrl-C, and so would its children.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=heed) as process:
        end = threading.Timer(600, process.kill)
        end.start()
        for line in process.stderr:
            if "epoch 1/500" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        end.cancel()
    assert process.returncode == 130
    assert "fairexit: interrupted; run the same command again to resume" in rest
    assert "Traceback" not in rest
    assert np.isfinite(pd.read_csv(out / "log.csv")["train_loss"]).all()
