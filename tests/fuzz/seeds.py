"""The small sound inputs that the fuzzer mutates, made once in a folder."""

import json
import shutil
from pathlib import Path
from random import Random

import numpy as np
import yaml
from PIL import Image

from .mutations import Rows

CLASSES = ("mel", "nev", "bcc")
CONFIG = {
    "data": {"path": "prepared", "augment": "released", "sampling": "sqrt", "group": "skin_tone"},
    "model": {"backbone": "resnet18", "exits": [1, 3]},
    "method": {"name": "erm"},
    "train": {"epochs": 1, "batch_size": 32, "lr": 0.02, "schedule": "cosine"},
    "seed": 0,
}
STUDY = {
    "base": {key: value for key, value in CONFIG.items() if key not in ("data", "seed")},
    "datasets": {"drawn": {"data.path": "prepared"}},
    "rows": {"ERM": {"model.exits": "none"}, "ME-ERM": {"model.exits": "all"}},
    "seeds": [0, 1],
    "policy": {"rule": "f1", "grid": [0.5, 0.9]},
    "against": {"ME-ERM": "ERM"},
}


def prediction_rows(scores: bool = True, count: int = 60) -> Rows:
    """A table of predictions: id, label, cluster, sex, site and scores or a prediction."""
    rng = Random(0)
    answer = [f"p/{name}" for name in CLASSES] if scores else ["prediction"]
    rows = [["id", "label", "cluster", "sex", "site", *answer]]
    for i in range(count):
        label = CLASSES[i % 3]
        weights = [rng.random() + 2 * (name == label) for name in CLASSES]
        shares = [f"{w / sum(weights):.6f}" for w in weights]
        best = CLASSES[max(range(3), key=lambda c: weights[c])]
        row = [f"i{i}", label, f"c{i // 2}", "fm"[rng.random() < 0.4], "ab"[i % 2]]
        rows.append([*row, *(shares if scores else [best])])
    return rows


def make_base(folder: Path, prepared: Path | None = None, run: Path | None = None) -> None:
    """Write pictures, a prepared dataset and an evaluated run into a folder.

    Args:
        folder: the folder.
        prepared, run: copies are taken of these where they are given, instead of new ones made.
    """
    import fairexit
    from fairexit.evaluation.policy import Policy
    from fairexit.inference.entanglement import measure_entanglement
    from fairexit.runs import open_run

    folder.mkdir(parents=True, exist_ok=True)
    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"i{i}.{('png', 'jpg', 'tif', 'bmp')[i % 4]}")
    if prepared is None:
        options = {"images": 160, "seed": 1, "dark_share": 0.4}
        fairexit.prepare("synthetic", out=folder / "prepared", size=28, options=options)
    else:
        shutil.copytree(prepared, folder / "prepared")
    if run is None:
        tree = json.loads(json.dumps(CONFIG))
        tree["data"]["path"] = str(folder / "prepared")
        run = fairexit.train(tree, folder / "run").path
        fairexit.predict(run)
    else:
        shutil.copytree(run, folder / "run")
    fairexit.evaluate(folder / "run")
    Policy(0.4, group="skin_tone").save(folder / "run" / "policy.json")
    opened = open_run(folder / "run")
    measure_entanglement(opened, temperatures=(0.3,)).write(folder / "run")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
