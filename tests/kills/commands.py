"""The commands that write, each with its inputs, which are what earlier commands have written."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import yaml
from PIL import Image

CONFIG = {
    "data": {"path": "data", "augment": "flips", "group": "sex"},
    "model": {"backbone": "timm/test_resnet", "exits": [1, 3]},
    "train": {"epochs": 3, "batch_size": 24, "lr": 0.05, "schedule": "constant"},
}
CONFIGS = {
    "train.yaml": CONFIG,
    "teacher.yaml": CONFIG | {"method": {"name": "mfd"}},
    "upweight.yaml": CONFIG | {"method": {"name": "jtt"}},
    "prune.yaml": CONFIG | {"prune": {"steps": 2, "images": 16, "finetune": 1}},
    "study.yaml": {
        "base": {key: value for key, value in CONFIG.items() if key != "data"},
        "datasets": {"drawn": {"data.path": "data", "data.group": "sex"}},
        "rows": {"ERM": {"model.exits": "none"}, "ME-ERM": {"model.exits": [1, 3]}},
        "policy": {"rule": "f1", "grid": [0.5, 0.9]},
        "against": {"ME-ERM": "ERM"},
    },
}
FEW = "--resamples 100 --score-resamples 100 --permutations 100"


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        name: of the command, and of what it does where one command does several things.
        words: its call, whose paths are relative, without quoted words.
        needs: path in the folder of the call -> where it is copied from: `NAME/PATH`, what the
            command NAME has left, or a path among the first inputs.
        vanishing: the inputs that vanish in the middle, one at a time.
        share: its share of the cases.
    """

    name: str
    words: str
    needs: dict[str, str]
    vanishing: tuple[str, ...]
    share: int = 4


def make_inputs(folder: Path) -> None:
    """Draw pictures of three classes, and write their table and the configurations."""
    rng, choice = np.random.default_rng(0), Random(0)
    (folder / "pictures").mkdir(parents=True)
    rows = ["file,label,sex,patient"]
    for i in range(120):
        label, sex = i % 3, choice.choice("fm")
        pixels = rng.integers(0, 140, (40, 40, 3), dtype=np.uint8)
        shown = label if i % 7 else (label + 1) % 3  # no network is right on all of them
        pixels[..., shown] += 110
        Image.fromarray(pixels).save(folder / "pictures" / f"i{i:03}.png")
        rows.append(f"i{i:03}.png,{('mel', 'nev', 'bcc')[label]},{sex},p{i // 2}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    for name, tree in CONFIGS.items():
        (folder / name).write_text(yaml.safe_dump(tree))


_DATA = {"data": "prepare/out"}
_TRAINED = _DATA | {"run": "train/out"}
_PREDICTED = _DATA | {"run": "predict/run"}
_WEIGHTS = ("run/model.safetensors", "run/config.json")
_PREDICTIONS = ("run/predictions", "run/predictions/val.parquet", "run/config.json")


def _train(name: str, config: str, share: int) -> Command:
    words = f"train {config} --out out"
    needs = {config: config} | _DATA
    return Command(name, words, needs, ("data", "data/images.npy", config), share)


COMMANDS = [
    Command(
        "prepare",
        "prepare table table.csv --images pictures --id file --label label --group sex "
        "--cluster patient --size 32 --out out",
        {"table.csv": "table.csv", "pictures": "pictures"},
        ("pictures", "table.csv", "pictures/i077.png"),
    ),
    Command(
        "plant",
        "plant data --cause prevalence --out out",
        _DATA,
        ("data", "data/images.npy"),
    ),
    _train("train", "train.yaml", 8),
    _train("train, teacher", "teacher.yaml", 3),
    _train("train, upweight", "upweight.yaml", 3),
    _train("train, prune", "prune.yaml", 3),
    Command(
        "train, extend",
        "train train.yaml --set train.epochs=5 --out run",
        _PREDICTED | {"train.yaml": "train.yaml"},
        ("data", "train.yaml"),
        3,
    ),
    Command("refit", "refit run --out out", _TRAINED, ("data", *_WEIGHTS)),
    Command(
        "prune",
        "prune run --out out --steps 2 --images 16 --finetune 1",
        _TRAINED,
        ("data", *_WEIGHTS),
    ),
    Command(
        "prune, steps",
        "prune run --out out --method scp --steps 2 --images 16",
        _TRAINED,
        ("data", *_WEIGHTS),
    ),
    Command(
        "tune",
        "tune train.yaml --search train.lr=0.02,0.05 --trials 2 --set train.epochs=1 --out out",
        _DATA | {"train.yaml": "train.yaml"},
        ("data", "train.yaml"),
        2,
    ),
    Command("predict", "predict run", _TRAINED, ("data", "data/images.npy", *_WEIGHTS)),
    Command("evaluate", "evaluate run", _PREDICTED, _PREDICTIONS),
    Command("calibrate", "evaluate run --calibrate", _PREDICTED, _PREDICTIONS),
    Command(
        "choose",
        "choose run other --minimize eodd --out front",
        _PREDICTED | {"other": "predict/run"},
        (*_PREDICTIONS, "other/predictions"),
    ),
    Command(
        "predict, images",
        "predict run --images pictures --batch-size 8 --out answers.csv",
        {"run": "evaluate/run", "pictures": "pictures"},
        ("pictures", *_WEIGHTS),
    ),
    Command(
        "predict, policy",
        "predict run --policy-only --out answers",
        _DATA | {"run": "evaluate/run"},
        ("data", *_WEIGHTS),
        2,
    ),
    Command(
        "audit",
        f"audit run --out page.html {FEW}",
        {"run": "evaluate/run"},
        _PREDICTIONS,
    ),
    Command("entangle", "entangle run", _TRAINED, ("data", *_WEIGHTS), 2),
    Command("report", "report run --out page.html", {"run": "evaluate/run"}, _PREDICTIONS, 2),
    Command(
        "export",
        "export run --out out",
        _DATA | {"run": "evaluate/run"},
        ("data", *_WEIGHTS, "run/predictions"),
        2,
    ),
    Command("rerun", "rerun run --out out", _PREDICTED, ("data", *_WEIGHTS), 2),
    Command(
        "study",
        "study study.yaml --out out --workers 2 --threads 1",
        _DATA | {"study.yaml": "study.yaml"},
        ("data", "study.yaml"),
        2,
    ),
    Command("demo", "demo --out out --images 700 --epochs 1", {}, (), 1),
]
BY_NAME = {command.name: command for command in COMMANDS}
