"""Runs as folders of made-up predictions: a study without any training.

As a script it is a worker: it takes a job and pretends to train for a few short epochs.
"""

import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np

from fairexit.errors import UserError
from fairexit.files import write_atomically
from fairexit.predictions.files import Predictions, write_predictions
from fairexit.runs import FORMAT, Run
from fairexit.study import job as jobs

SEX = ("female", "male")
EXITS = ("1", "2", "3", "4", "f")


def draw(name, split, images=150, classes=4, exits=EXITS, skill=2.0, group="sex"):
    """Answers that depend on the names alone; images are the same for every run."""
    fixed = np.random.default_rng([images, split == "val"])
    labels = fixed.integers(0, classes, images)
    sex = fixed.integers(0, 2, images)
    clusters = np.array([f"c{k}" for k in fixed.integers(0, images // 2, images)])
    rng = np.random.default_rng(zlib.crc32(f"{name} {split}".encode()))
    logits = rng.normal(size=(images, len(exits), classes))
    logits += rng.normal(size=(images, 1, classes))
    ability = skill * (0.5 + 0.1 * np.arange(len(exits)))[None] * (1 + 0.3 * (sex == 0))[:, None]
    logits[np.arange(images), :, labels] += ability
    odds = np.exp(logits)
    return Predictions(
        ids=np.array([f"{split}{i:05d}" for i in range(images)]),
        clusters=clusters,
        split=np.full(images, split),
        labels=labels,
        attributes={group: sex},
        group_names={group: SEX},
        classes=tuple(f"class{c}" for c in range(classes)),
        probabilities=(odds / odds.sum(-1, keepdims=True)).astype(np.float32),
        exit_names=exits,
    )


def write_run(path, config, penalty_ratio=None, data="isic2019", **kind):
    """A finished run with predictions; `config` as `RunConfig.to_dict` gives it."""
    run = Run(Path(path))
    exits = ("f",) if config["model"]["exits"] == "none" else EXITS
    group = config["data"]["group"] or "sex"
    for split in ("val", "test"):
        run.predictions(split).parent.mkdir(parents=True, exist_ok=True)
        write_predictions(
            draw(run.path.name, split, exits=exits, group=group, **kind), run.predictions(split)
        )
    log = "epoch,seconds\n" + "".join(f"{e + 1},2\n" for e in range(config["train"]["epochs"]))
    write_atomically(run.path / "log.csv", log)
    info = {
        "format": FORMAT,
        "model": {},
        "label2id": {"a": 0, "b": 1},
        "group": group,
        "preprocessing": {"size": 28, "fit": "squash"},
        "data": {"name": data, "checksums": {"images.npy": "0"}},
        "penalty_ratio": penalty_ratio,
        "run": config,
    }
    (run.path / "config.json").write_text(json.dumps(info))


def pretend(job):
    """Train in a few short epochs, then do what every run does."""
    run = Run(Path(job.out))
    run.path.mkdir(parents=True, exist_ok=True)
    if "Broken" in job.name:
        raise UserError("the loss of epoch 1 is nan; lower train.lr (now 3)")
    if "Full" in job.name:
        raise OSError(28, "No space left on device", str(run.path))
    if "Killed" in job.name:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
    if not run.finished:
        done = (
            len((run.path / "log.csv").read_text().split()) - 1
            if (run.path / "log.csv").is_file()
            else 0
        )
        with (run.path / "trained.txt").open("a") as file:
            for epoch in range(max(done, 0), job.config["train"]["epochs"]):
                time.sleep(0.01)
                file.write(f"{epoch}\n")
                file.flush()
                rows = "".join(f"{e + 1},2\n" for e in range(epoch + 1))
                # The study reads the log at any time.
                write_atomically(run.path / "log.csv", "epoch,seconds\n" + rows)
        config = job.config
        if job.start:  # a pruning stores the settings of the run that it prunes
            config = Run(Path(job.start)).description["run"] | {"prune": config["prune"]}
        write_run(run.path, config)
    jobs.evaluate_run(job)


if __name__ == "__main__":
    sys.exit(jobs.main(pretend))
