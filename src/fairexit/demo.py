"""The demo: all steps from data to report on synthetic images, with and without exits."""

from pathlib import Path

from fairexit.config_files import build_config
from fairexit.data.datasets import datasets
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError, option
from fairexit.evaluation.assess import Assessment, assess
from fairexit.evaluation.choice import Choice
from fairexit.inference.predict import predict
from fairexit.report.page import write_page
from fairexit.training.fit import train

TRAIN = {"batch_size": 32, "lr": 0.02, "schedule": "cosine", "warmup": 1, "weight_decay": 5e-4}
# After a few epochs no network is confident enough for the paper's thresholds.
GRID = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
MODELS = {"plain": "none", "multi-exit": "all"}


def demo(out: Path, *, images: int = 2500, epochs: int = 6, seed: int = 0) -> list[Assessment]:
    """Train a plain and a multi-exit network on synthetic lesions and compare them.

    Resumes if it was interrupted; finished steps are not repeated.

    Args:
        out: folder for the data, the runs and `index.html`.
        images: number of images to draw.
        epochs: epochs of each training.
        seed: seed of the images and of the training.
    Returns:
        The evaluation of each network.
    Raises:
        UserError: the folder holds a demo with other settings.
    """
    data = out / "data"
    if not data.exists():
        dataset = datasets.create("synthetic", images=images, seed=seed)
        prepare("synthetic", dataset, None, data, options=PrepareOptions(size=32, seed=seed))
    prepared = open_prepared(data)
    options = prepared.info.get("dataset", {})
    if (options.get("images"), options.get("seed")) != (images, seed):
        raise UserError(f"{out} holds a demo with other settings; choose another {option('out')}")
    assessments = []
    for name, exits in MODELS.items():
        config = build_config(
            {
                "data": {"path": str(data), "augment": "flips", "sampling": "sqrt"},
                "model": {"backbone": "resnet18", "exits": exits},
                "train": {**TRAIN, "epochs": epochs},
                "seed": seed,
            }
        )
        run = train(config, out / name)
        predict(run)
        assessments.append(assess(run.path, choice=Choice(grid=GRID)))
    write_page(assessments, out / "index.html", "fairexit demo: drawn skin lesions", prepared)
    return assessments
