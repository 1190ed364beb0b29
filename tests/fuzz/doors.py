"""The doors: how each input is mutated, and the command lines that read it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import yaml

from .mutations import mutate_bytes, mutate_table, mutate_tree, table_bytes
from .seeds import CONFIG, STUDY, prediction_rows

FEW = ["--resamples", "100", "--score-resamples", "100", "--permutations", "100"]
Door = Callable[[Path, Path, Random], list[str]]
"""Writes mutated input into the case's folder and returns the words of a command; its arguments are
the folder of sound inputs, the case's folder, which is also the current folder, and the generator.
What a command writes is called out or out.*."""


def _table(rng: Random, here: Path, scores: bool) -> str:
    """Write a mutated table of predictions; returns its name."""
    kind = rng.choice(["csv", "csv", "csv", "tsv", "semicolon", "jsonl", "parquet", "parquet"])
    rows = prediction_rows(scores)
    if rng.random() < 0.75:
        rows = mutate_table(rows, rng)
    try:
        content = table_bytes(rows, kind, rng)
    except Exception:  # what cannot be written needs no reading
        content = table_bytes(prediction_rows(scores), kind, rng)
    if rng.random() < 0.35:
        content = mutate_bytes(content, rng)
    name = f"t.{'csv' if kind == 'semicolon' else kind}"
    (here / name).write_bytes(content)
    return name


def audit_table(base: Path, here: Path, rng: Random) -> list[str]:
    scores = rng.random() < 0.5
    name = _table(rng, here, scores)
    more = [["--out", "out.html"], ["--json", "out.json"], ["--markdown", "out.md"]]
    groups = rng.choice([["--group", "sex"], ["--group", "sex", "--group", "site"], []])
    return ["audit", name, *groups, *rng.choice(more), *FEW]


def evaluate_table(base: Path, here: Path, rng: Random) -> list[str]:
    return ["evaluate", _table(rng, here, rng.random() < 0.5), "--group", "sex", "--json"]


def prepare_table(base: Path, here: Path, rng: Random) -> list[str]:
    """Mutates the table, the split file or some of the pictures."""
    shutil.copytree(base / "pictures", here / "pictures")
    rows = [row[:4] for row in prediction_rows(count=13)]
    splits = [
        ["id", "split"],
        *([row[0], ("train", "val", "test")[i % 3]] for i, row in enumerate(rows[1:])),
    ]
    part = rng.choice(["table", "split", "pictures"])
    name, content = "t.csv", table_bytes(rows, "csv", Random(0))
    if part == "table":
        kind = rng.choice(["csv", "csv", "tsv", "parquet"])
        name = f"t.{kind}"
        mutated = mutate_table(rows, rng)
        try:
            content = table_bytes(mutated, kind, rng)
        except Exception:
            content = table_bytes(rows, kind, rng)
        content = mutate_bytes(content, rng) if rng.random() < 0.3 else content
    (here / name).write_bytes(content)
    words = ["prepare", "table", name, "--id", "id", "--label", "label", "--group", "sex"]
    words += ["--cluster", "cluster", "--images", "pictures", "--size", "8", "--workers", "1"]
    if part == "split":
        mutated_splits = table_bytes(mutate_table(splits, rng), "csv", rng)
        (here / "s.csv").write_bytes(mutated_splits)
        words += ["--split-file", "s.csv"]
    if part == "pictures":
        for file in rng.sample(sorted((here / "pictures").iterdir()), 4):
            file.write_bytes(mutate_bytes(file.read_bytes(), rng))
    return [*words, "--out", "out"]


def classify_pictures(base: Path, here: Path, rng: Random) -> list[str]:
    (here / "pictures").mkdir()
    for file in rng.sample(sorted((base / "pictures").iterdir()), 3):
        (here / "pictures" / file.name).write_bytes(mutate_bytes(file.read_bytes(), rng))
    return ["predict", str(base / "run"), "--images", "pictures", "--out", "out.csv"]


def _yaml(tree: object, rng: Random) -> bytes:
    mutated = mutate_tree(tree, rng)
    try:
        text = yaml.dump(mutated, allow_unicode=True)
    except RecursionError:
        text = json.dumps(mutated)  # which is YAML too
    content = text.encode("utf-8", "replace")
    return mutate_bytes(content, rng) if rng.random() < 0.4 else content


def read_config(base: Path, here: Path, rng: Random) -> list[str]:
    """A configuration whose data are not there, so that nothing is trained."""
    (here / "c.yaml").write_bytes(_yaml(CONFIG, rng))
    return ["train", "c.yaml", "--out", "out", "--set", "data.path=no-data"]


def plan_study(base: Path, here: Path, rng: Random) -> list[str]:
    (here / "s.yaml").write_bytes(_yaml(STUDY, rng))
    return ["study", "s.yaml", "--out", "out", "--plan"]


def _linked(source: Path, copy: Path, changed: str) -> Path:
    """A copy of a folder by links, except for one file that may be changed; returns that file."""
    shutil.copytree(source, copy, copy_function=lambda a, b: Path(b).symlink_to(a))
    file = copy / changed
    file.unlink()
    shutil.copyfile(source / changed, file)
    return file


def open_run(base: Path, here: Path, rng: Random) -> list[str]:
    """Mutates a JSON file, the weights or the predictions of a run."""
    names = ["config.json"] * 4 + ["policy.json"] * 2
    names += ["entanglement.json", "metrics.json", "model.safetensors"]
    names += ["predictions/test.parquet", "predictions/val.parquet"]
    name = rng.choice(names)
    file = _linked(base / "run", here / "run", name)
    # A run's own files are written by evaluate; the copies must not lead to the originals.
    for own in ("metrics.json", "policy.json"):
        if (here / "run" / own).is_symlink():
            content = (here / "run" / own).read_bytes()
            (here / "run" / own).unlink()
            (here / "run" / own).write_bytes(content)
    if file.suffix == ".json" and rng.random() < 0.8:
        file.write_text(json.dumps(mutate_tree(json.loads(file.read_text()), rng)))
    else:
        file.write_bytes(mutate_bytes(file.read_bytes(), rng))
    picture = str(base / "pictures" / "i0.png")
    commands = {
        "audit": ["audit", "run", "--out", "out.html", *FEW],
        "evaluate": ["evaluate", "run"],
        "stored": ["evaluate", "run", "--threshold", "policy", "--json"],
        "images": ["predict", "run", "--images", picture, "--out", "out.csv"],
        "report": ["report", "run", "--out", "out.html"],
    }
    if name == "model.safetensors":
        return commands["images"]
    if name == "entanglement.json":
        return commands["audit"]
    if name == "config.json":
        return commands[rng.choice(["images", "audit", "evaluate", "report"])]
    return commands[rng.choice(["audit", "evaluate", "stored", "report"])]


def open_data(base: Path, here: Path, rng: Random) -> list[str]:
    """Mutates the description, the records or the images of prepared data."""
    name = rng.choice(["dataset.json", "dataset.json", "records.parquet", "images.npy"])
    file = _linked(base / "prepared", here / "data", name)
    if name == "dataset.json" and rng.random() < 0.8:
        file.write_text(json.dumps(mutate_tree(json.loads(file.read_text()), rng)))
    elif name == "images.npy" and rng.random() < 0.8:
        content = file.read_bytes()
        file.write_bytes(mutate_bytes(content[:128], rng) + content[128:])
    else:
        file.write_bytes(mutate_bytes(file.read_bytes(), rng))
    predict = ["predict", str(base / "run"), "--data", "data", "--split", "test", "--out", "out"]
    report = ["report", str(base / "run"), "--data", "data", "--out", "out.html"]
    return rng.choice([predict, report])


DOORS: dict[str, tuple[int, Door]] = {
    "audit-table": (5, audit_table),
    "evaluate-table": (6, evaluate_table),
    "prepare-table": (5, prepare_table),
    "pictures": (2, classify_pictures),
    "config": (4, read_config),
    "study": (3, plan_study),
    "run": (6, open_run),
    "data": (4, open_data),
}
"""Name -> its share of the cases, and the door."""
