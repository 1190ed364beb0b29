"""Time of a refit by DFR against a training of ten epochs: ResNet-18, with and without exits."""

import argparse
import tempfile
import time
from pathlib import Path

from fairexit.api.training import refit, train
from fairexit.files import read_json
from fairexit.runs import RETRAIN
from timing import machine, table

SETTINGS = {
    "data.augment": "flips",
    "data.sampling": "sqrt",
    "train.batch_size": 128,
    "train.lr": 0.03,
    "train.schedule": "cosine",
}


def measure(data: Path, exits: str, epochs: int, measured: int) -> list[str]:
    """A row of the table: times of the training and of the refit, and their ratio."""
    config = {"data": {"path": str(data)}, "model": {"exits": exits}}
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        train(config, Path(folder) / "erm", {**SETTINGS, "train.epochs": measured})
        trained = (time.process_time() - began) * epochs / measured
        began = time.process_time()
        refitted = refit(Path(folder) / "erm", Path(folder) / "dfr")
        seconds = time.process_time() - began
        record = read_json(refitted.refit, RETRAIN)
    share = f"{seconds / trained:.2f}"
    return [exits, f"{trained:.0f} s", f"{seconds:.0f} s", share, str(record["subsample"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="A prepared dataset.")
    parser.add_argument("--measured", type=int, default=2, help="Epochs that are really trained.")
    parser.add_argument("--exits", nargs="+", default=["none", "all"])
    arguments = parser.parse_args()
    rows = [measure(arguments.data, exits, 10, arguments.measured) for exits in arguments.exits]
    print(f"CPU seconds, {machine()}\n")
    print(table(["exits", "ten epochs", "refit", "ratio", "images per subsample"], rows))


if __name__ == "__main__":
    main()
